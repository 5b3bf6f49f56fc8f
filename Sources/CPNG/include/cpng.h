// Reads PNG files with libpng 1.6, which the caller has loaded. libpng reports an error by calling a function that must
// not return: it jumps past libpng's frames, which may be done in C and not in Swift.
#ifndef CPNG_H
#define CPNG_H

#include <stddef.h>
#include <stdint.h>

// The functions of libpng, by their names there without `png_`. `png` is a `png_structp`, `info` a `png_infop`.
typedef struct {
  const char *(*get_libpng_ver)(const void *png);
  void *(*create_read_struct)(const char *version, void *context, void (*on_error)(void *png, const char *),
                              void (*on_warning)(void *png, const char *));
  void *(*create_info_struct)(const void *png);
  void (*destroy_read_struct)(void **png, void **info, void **end);
  void (*set_read_fn)(void *png, void *context, void (*read)(void *png, uint8_t *, size_t));
  void (*read_info)(void *png, void *info);
  uint32_t (*get_IHDR)(const void *png, const void *info, uint32_t *width, uint32_t *height, int *depth, int *colours,
                       int *interlacing, int *compression, int *filter);
  uint32_t (*get_valid)(const void *png, const void *info, uint32_t flag);
  void (*set_expand)(void *png);
  void (*set_scale_16)(void *png);
  void (*set_gray_to_rgb)(void *png);
  void (*set_add_alpha)(void *png, uint32_t filler, int flags);
  int (*set_interlace_handling)(void *png);
  void (*read_update_info)(void *png, void *info);
  size_t (*get_rowbytes)(const void *png, const void *info);
  void (*read_row)(void *png, uint8_t *row, uint8_t *display);
} cpng_library;

// What is in a file.
typedef struct {
  uint32_t width, height;
  // Bits of a sample: 1, 2, 4, 8 or 16.
  int depth;
  int is_coloured;
  // Whether pixels may be transparent.
  int has_alpha;
  // What went wrong, if anything did.
  char message[128];
} cpng_image;

// Reads the `count` bytes of a file. Samples of 16 bits are divided by 257. `gAMA` and other descriptions of light are
// ignored, as most programs do.
//
// pixels: [height][width][red, green, blue, opacity], of the height and width that an earlier call found; NULL to read
// the header only.
// Returns 0 and a message if the file is damaged.
int cpng_read(const cpng_library *library, const uint8_t *bytes, size_t count, cpng_image *image, uint8_t *pixels);

#endif
