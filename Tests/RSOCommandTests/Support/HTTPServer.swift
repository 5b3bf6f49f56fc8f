import Foundation
import Synchronization

/// An HTTP server on loopback that does to each connection just what it is told, well or badly.
final class HTTPServer: Sendable {
  /// What a client asked for.
  struct Request: Sendable {
    var path: String
    /// The first byte wanted, where there was a `Range`.
    var from: Int?
  }

  /// One answer: bytes, and then the connection is closed or nothing more comes.
  struct Answer: Sendable {
    var bytes: Data
    var stalls = false

    /// - Parameters:
    ///   - length: what `Content-Length` says; the body's where `nil`, none where −1.
    ///   - sent: how many bytes of the body are sent before the connection closes.
    static func ok(
      _ body: Data, status: String = "200 OK", headers: [String] = [], length: Int? = nil,
      sent: Int? = nil, stalls: Bool = false
    ) -> Answer {
      let length = length ?? body.count
      let head =
        ["HTTP/1.1 \(status)", "Connection: close"] + headers
        + (length < 0 ? [] : ["Content-Length: \(length)"])
      return Answer(
        bytes: Data((head.joined(separator: "\r\n") + "\r\n\r\n").utf8)
          + body.prefix(sent ?? body.count), stalls: stalls)
    }

    static func status(_ status: String) -> Answer { .ok(Data("no".utf8), status: status) }

    static func redirect(_ address: String) -> Answer {
      .ok(Data(), status: "302 Found", headers: ["Location: \(address)"])
    }

    /// A good server's answer: the range that was asked for.
    static func range(_ body: Data, _ request: Request, sent: Int? = nil) -> Answer {
      guard let from = request.from else { return .ok(body, sent: sent) }
      guard from < body.count else {
        return .ok(
          Data(), status: "416 Range Not Satisfiable",
          headers: ["Content-Range: bytes */\(body.count)"])
      }
      return .ok(
        body.dropFirst(from), status: "206 Partial Content",
        headers: ["Content-Range: bytes \(from)-\(body.count - 1)/\(body.count)"], sent: sent)
    }
  }

  let port: UInt16
  private let socket: Int32
  private let seen = Mutex<[Request]>([])
  private let isOpen = Mutex(true)

  var address: String { "http://127.0.0.1:\(port)/" }
  /// What was asked for so far.
  var requests: [Request] { seen.withLock { $0 } }

  /// - Parameter answer: to each request; the number counts them from 0.
  init(_ answer: @escaping @Sendable (Request, Int) -> Answer) throws {
    let socket = Foundation.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &name) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(socket, $0, length) == 0 && listen(socket, 16) == 0
          && getsockname(socket, $0, &length) == 0
      }
    }
    guard bound else { throw POSIXError(.EADDRNOTAVAIL) }
    self.socket = socket
    port = UInt16(bigEndian: name.sin_port)
    Thread { [self] in
      while true {
        let connection = accept(socket, nil, nil)
        guard connection >= 0, isOpen.withLock({ $0 }) else { return }
        Thread { self.serve(connection, answer) }.start()
      }
    }.start()
  }

  /// No more connections are taken.
  func stop() {
    isOpen.withLock { $0 = false }
    shutdown(socket, Int32(SHUT_RDWR))
    close(socket)
  }

  private func serve(_ connection: Int32, _ answer: (Request, Int) -> Answer) {
    defer { close(connection) }
    var head = Data()
    var buffer = [UInt8](repeating: 0, count: 4096)
    while head.range(of: Data("\r\n\r\n".utf8)) == nil {
      let count = recv(connection, &buffer, buffer.count, 0)
      if count <= 0 { return }
      head += buffer[..<count]
    }
    let lines = String(decoding: head, as: UTF8.self).components(separatedBy: "\r\n")
    let words = lines[0].split(separator: " ")
    let range = lines.first { $0.lowercased().hasPrefix("range: bytes=") }
    let request = Request(
      path: words.count > 1 ? String(words[1]) : "",
      from: range.flatMap { Int($0.dropFirst(13).prefix { $0.isNumber }) })
    let number = seen.withLock { seen in
      seen.append(request)
      return seen.count - 1
    }
    let answer = answer(request, number)
    var sent = 0
    answer.bytes.withUnsafeBytes { bytes in
      while sent < bytes.count {
        let count = send(
          connection, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
        if count <= 0 { return }
        sent += count
      }
    }
    // Until the client has had enough; not for ever, so that a test ends.
    if answer.stalls {
      var time = timeval(tv_sec: 20, tv_usec: 0)
      setsockopt(
        connection, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
      _ = recv(connection, &buffer, buffer.count, 0)
    }
    shutdown(connection, Int32(SHUT_WR))
  }
}
