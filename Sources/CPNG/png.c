#include "cpng.h"

#include <setjmp.h>
#include <string.h>

typedef struct {
  const cpng_library *library;
  const uint8_t *bytes;
  size_t count;
  cpng_image *image;
  uint8_t *pixels;
  void *png, *info;
  // Where an error jumps to.
  jmp_buf end;
} job;

// libpng's callbacks get libpng's own structure, whose layout is unknown here.
static _Thread_local job *current;

static void fail(void *png, const char *message) {
  (void)png;
  strncpy(current->image->message, message, sizeof current->image->message - 1);
  longjmp(current->end, 1);
}

static void ignore(void *png, const char *message) {
  (void)png;
  (void)message;
}

static void next(void *png, uint8_t *bytes, size_t count) {
  if (count > current->count) fail(png, "it was cut short");
  memcpy(bytes, current->bytes, count);
  current->bytes += count;
  current->count -= count;
}

// PNG_COLOR_MASK_COLOR, PNG_COLOR_MASK_ALPHA, PNG_INFO_tRNS, PNG_FILLER_AFTER
enum { mask_colour = 2, mask_alpha = 4, info_transparency = 0x10, filler_after = 1 };

static void read(const cpng_library *library, void *png, void *info, cpng_image *image, uint8_t *pixels) {
  library->set_read_fn(png, NULL, next);
  library->read_info(png, info);
  int colours = 0, interlacing, compression, filter;
  uint32_t width = 0, height = 0;
  library->get_IHDR(png, info, &width, &height, &image->depth, &colours, &interlacing, &compression, &filter);
  image->is_coloured = (colours & mask_colour) != 0;
  image->has_alpha = (colours & mask_alpha) != 0 || library->get_valid(png, info, info_transparency) != 0;
  if (!pixels) {
    image->width = width;
    image->height = height;
    return;
  }
  // Palettes, few bits and a transparent colour become samples of 8 bits or more, those of 16 become 8.
  library->set_expand(png);
  library->set_scale_16(png);
  library->set_gray_to_rgb(png);
  library->set_add_alpha(png, 0xff, filler_after);
  int passes = library->set_interlace_handling(png);
  library->read_update_info(png, info);
  size_t row = 4 * (size_t)width;
  if (width != image->width || height != image->height || library->get_rowbytes(png, info) != row)
    fail(png, "libpng gives rows of another length");
  // Every pass of an interlaced picture fills in its pixels.
  for (int pass = 0; pass < passes; pass++)
    for (uint32_t y = 0; y < height; y++) library->read_row(png, pixels + y * row, NULL);
}

// Apart from its caller, whose variables keep their values when an error jumps back here.
static void attempt(job *job) {
  const cpng_library *library = job->library;
  if (setjmp(job->end)) return;
  job->png = library->create_read_struct(library->get_libpng_ver(NULL), NULL, fail, ignore);
  if (!job->png) fail(NULL, "libpng could not be started");
  job->info = library->create_info_struct(job->png);
  if (!job->info) fail(NULL, "there is not enough memory");
  read(library, job->png, job->info, job->image, job->pixels);
}

int cpng_read(const cpng_library *library, const uint8_t *bytes, size_t count, cpng_image *image, uint8_t *pixels) {
  job job = {.library = library, .bytes = bytes, .count = count, .image = image, .pixels = pixels};
  memset(image->message, 0, sizeof image->message);
  current = &job;
  attempt(&job);
  if (job.png) library->destroy_read_struct(&job.png, job.info ? &job.info : NULL, NULL);
  current = NULL;
  return image->message[0] == 0;
}
