// zlib's stream as its shared library lays it out. zlib is loaded when it is needed, and building needs no header of it.
//
// Source: zlib's manual, https://zlib.net/manual.html, `z_stream`.
#ifndef CRSO_ZLIB_H
#define CRSO_ZLIB_H

#include <stdint.h>

typedef struct {
  // What is left of the input, and of the room for the output.
  const uint8_t *next_in;
  unsigned int avail_in;
  unsigned long total_in;
  uint8_t *next_out;
  unsigned int avail_out;
  unsigned long total_out;
  // What was wrong, or NULL.
  const char *message;
  void *state;
  // NULL: malloc and free.
  void *allocate, *release, *opaque;
  int data_type;
  unsigned long checksum, reserved;
} rso_zlib_stream;

#endif
