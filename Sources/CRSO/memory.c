#define _GNU_SOURCE
#include "crso.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const size_t huge_page = (size_t)2 << 20;

static size_t rounded(size_t bytes) { return (bytes + huge_page - 1) / huge_page * huge_page; }

void *rso_allocate(size_t bytes) {
  if (bytes > SIZE_MAX - huge_page) return NULL;
  // Small pieces come from the heap. Large pieces come straight from the system, which provides zeros and maps each
  // page when it is first touched.
  if (bytes < huge_page) {
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    if (memory) memset(memory, 0, bytes);
    return memory;
  }
  const size_t size = rounded(bytes);
  void *memory =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
#ifdef MADV_HUGEPAGE
  madvise(memory, size, MADV_HUGEPAGE);
#endif
  return memory;
}

void rso_free(void *memory, size_t bytes) {
  if (bytes < huge_page)
    free(memory);
  else
    munmap(memory, rounded(bytes));
}

const char *rso_library_path(const void *symbol) {
  Dl_info info;
  return dladdr(symbol, &info) ? info.dli_fname : NULL;
}
