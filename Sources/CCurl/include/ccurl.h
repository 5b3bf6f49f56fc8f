// Downloads with libcurl 7.16 or later, which the caller has loaded. Its functions for options take any number of
// arguments, which C can call through a pointer and Swift cannot.
#ifndef CCURL_H
#define CCURL_H

#include <stddef.h>
#include <stdint.h>

// The functions of libcurl, by their names there without `curl_`.
typedef struct {
  int (*global_init)(long flags);
  void *(*easy_init)(void);
  // Variadic: they become callable in C.
  void *easy_setopt;
  int (*easy_perform)(void *handle);
  void (*easy_cleanup)(void *handle);
  const char *(*easy_strerror)(int code);
  void *(*slist_append)(void *list, const char *line);
  void (*slist_free_all)(void *list);
} ccurl_library;

typedef struct {
  const char *url;
  const char *user_agent;
  // Header lines, NULL after the last.
  const char *const *headers;
  long connect_milliseconds, most_redirections;
  void *context;
  // Gets a header line, or a part of the body, of `count` bytes, and returns `count`; anything else ends the transfer.
  size_t (*on_header)(const char *bytes, size_t size, size_t count, void *context);
  size_t (*on_body)(const char *bytes, size_t size, size_t count, void *context);
  // Called about once a second; anything but 0 ends the transfer.
  int (*on_progress)(void *context, int64_t total, int64_t received, int64_t upload_total, int64_t sent);
} ccurl_request;

// libcurl's codes that mean more than a broken connection.
enum { ccurl_ok = 0, ccurl_unsupported_protocol = 1, ccurl_malformed_url = 3, ccurl_too_many_redirections = 47 };

// Gets a URL by http or https, following redirections. Returns libcurl's code; if it is not 0, `message` says why.
int ccurl_get(const ccurl_library *library, const ccurl_request *request, char message[256]);

#endif
