import CCurl
import RSO

/// libcurl, which is looked for when something is downloaded.
struct Curl: @unchecked Sendable {
  private static let shared = Result { try Curl() }

  private let library: ccurl_library

  /// - Throws: `RSOError` if this machine has no libcurl.
  static func load() throws -> Curl { try shared.get() }

  private init() throws {
    let file = try SharedLibrary(
      ["libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.4.dylib", "/usr/lib/libcurl.4.dylib"],
      hint: "install libcurl (Debian: apt-get install libcurl4), or put the data set's files in a "
        + "folder: --data NAME --data-dir DIR")
    func find<Function>(_ name: String, _ place: inout Function?) throws {
      place = try file.function("curl_\(name)", as: Function.self)
    }
    var library = ccurl_library()
    try find("global_init", &library.global_init)
    try find("easy_init", &library.easy_init)
    try find("easy_setopt", &library.easy_setopt)
    try find("easy_perform", &library.easy_perform)
    try find("easy_cleanup", &library.easy_cleanup)
    try find("easy_strerror", &library.easy_strerror)
    try find("slist_append", &library.slist_append)
    try find("slist_free_all", &library.slist_free_all)
    // 3: everything, TLS included.
    guard let code = library.global_init?(3), code == 0 else {
      throw RSOError(file.name, "cannot be used: curl_global_init failed")
    }
    self.library = library
  }

  /// What a transfer calls, on the thread that waits for it. `false` ends it.
  protocol Receiver: AnyObject {
    /// Gets one line of a header. Every answer has one, also those that redirect.
    func header(_ line: String) -> Bool
    func body(_ bytes: UnsafeRawBufferPointer) -> Bool
    /// Called about once a second, also if nothing comes.
    func tick() -> Bool
  }

  /// Gets a URL by http or https, following redirections.
  ///
  /// - Returns: libcurl's code and message; `nil` if all of it came.
  func get(
    _ url: String, headers: [String], connectSeconds: Double, mostRedirections: Int,
    _ receiver: some Receiver
  ) -> (code: Int, message: String)? {
    let box = Box(receiver)
    var request = ccurl_request()
    request.connect_milliseconds = Int(connectSeconds * 1000)
    request.most_redirections = mostRedirections
    request.context = Unmanaged.passUnretained(box).toOpaque()
    request.on_header = { bytes, _, count, context in
      guard let receiver = Box.receiver(context) else { return 0 }
      let line = String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
      return receiver.header(line) ? count : 0
    }
    request.on_body = { bytes, _, count, context in
      guard let receiver = Box.receiver(context) else { return 0 }
      // An answer may be empty, and 0 is then the whole of it.
      return receiver.body(UnsafeRawBufferPointer(start: bytes, count: count)) ? count : count + 1
    }
    request.on_progress = { context, _, _, _, _ in
      Box.receiver(context)?.tick() ?? false ? 0 : 1
    }
    var message = [CChar](repeating: 0, count: 256)
    let code = withUnsafePointer(to: library) { library in
      url.withCString { url in
        "rso".withCString { agent in
          withCStrings(headers) { headers in
            (request.url, request.user_agent, request.headers) = (url, agent, headers)
            return withExtendedLifetime(box) { ccurl_get(library, &request, &message) }
          }
        }
      }
    }
    guard code != 0 else { return nil }
    let text = String(
      decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return (Int(code), text)
  }

  /// Carries a receiver through C.
  private final class Box {
    private let receiver: any Receiver
    init(_ receiver: any Receiver) { self.receiver = receiver }

    static func receiver(_ context: UnsafeMutableRawPointer?) -> (any Receiver)? {
      context.map { Unmanaged<Box>.fromOpaque($0).takeUnretainedValue().receiver }
    }
  }
}

/// Calls `body` with C strings, and `nil` after the last.
private func withCStrings<Result>(
  _ texts: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Result
) -> Result {
  func next(_ rest: ArraySlice<String>, _ pointers: [UnsafePointer<CChar>?]) -> Result {
    guard let text = rest.first else {
      return (pointers + [nil]).withUnsafeBufferPointer { body($0.baseAddress) }
    }
    return text.withCString { next(rest.dropFirst(), pointers + [$0]) }
  }
  return next(texts[...], [])
}
