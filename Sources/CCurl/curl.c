#include "ccurl.h"

#include <stdio.h>

// Options and their values in `curl.h`.
enum {
  option_no_progress = 43,
  option_follow_redirections = 52,
  option_most_redirections = 68,
  option_no_signals = 99,
  option_connect_milliseconds = 156,
  option_protocols = 181,
  option_redirection_protocols = 182,
  option_body_context = 10001,
  option_url = 10002,
  option_message = 10010,
  option_user_agent = 10018,
  option_headers = 10023,
  option_header_context = 10029,
  option_progress_context = 10057,
  option_on_body = 20011,
  option_on_header = 20079,
  option_on_progress = 20219,
  http_and_https = 1 | 2,
  out_of_memory = 27,
};

int ccurl_get(const ccurl_library *library, const ccurl_request *request, char message[256]) {
  int (*set)(void *, int, ...) = (int (*)(void *, int, ...))library->easy_setopt;
  message[0] = 0;
  void *handle = library->easy_init();
  if (!handle) return out_of_memory;
  void *headers = NULL;
  int code = 0;
  for (const char *const *line = request->headers; !code && *line; line++) {
    void *longer = library->slist_append(headers, *line);
    if (longer)
      headers = longer;
    else
      code = out_of_memory;
  }
  if (!code) code = set(handle, option_message, message);
  if (!code) code = set(handle, option_url, request->url);
  if (!code) code = set(handle, option_user_agent, request->user_agent);
  if (!code) code = set(handle, option_headers, headers);
  if (!code) code = set(handle, option_protocols, (long)http_and_https);
  if (!code) code = set(handle, option_redirection_protocols, (long)http_and_https);
  if (!code) code = set(handle, option_follow_redirections, 1L);
  if (!code) code = set(handle, option_most_redirections, request->most_redirections);
  if (!code) code = set(handle, option_connect_milliseconds, request->connect_milliseconds);
  if (!code) code = set(handle, option_no_signals, 1L);
  if (!code) code = set(handle, option_header_context, request->context);
  if (!code) code = set(handle, option_on_header, request->on_header);
  if (!code) code = set(handle, option_body_context, request->context);
  if (!code) code = set(handle, option_on_body, request->on_body);
  if (!code) code = set(handle, option_no_progress, 0L);
  if (!code) code = set(handle, option_progress_context, request->context);
  if (!code) code = set(handle, option_on_progress, request->on_progress);
  if (!code) code = library->easy_perform(handle);
  if (code && !message[0]) snprintf(message, 256, "%s", library->easy_strerror(code));
  library->easy_cleanup(handle);
  library->slist_free_all(headers);
  return code;
}
