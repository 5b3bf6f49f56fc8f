extension Normalization {
  /// How the mean and the deviation follow from the training images.
  public enum Method: String, CaseIterable, Codable, Sendable {
    /// Values are read as they are, bytes from 0 to 255.
    case unchanged = "none"
    /// The mean of each channel is subtracted.
    case mean
    /// The mean of each channel is subtracted, and the difference is divided by the channel's standard deviation, or by
    /// 1 if all values of the channel are equal.
    case standard
    /// Bytes are divided by 255, and nothing is subtracted.
    case pixels
    /// Bytes are divided by 256, and nothing is subtracted: what a network reads are multiples of 2⁻⁸, which single
    /// precision adds without error.
    case integers

    /// What is done unless something else is asked for: tables have features of any scale.
    static func standard(for shape: Shape) -> Method { shape.isTable ? .standard : .mean }

    /// What is done for a network unless something else is asked for: `integers` where discrete weights read bytes.
    ///
    /// - Returns: `nil` if it is what is done for other networks.
    package static func standard(for network: Network, reading images: Pixels) -> Method? {
      guard case .bytes = images, network.readsIntegers else { return nil }
      return .integers
    }
  }

  /// - Parameter images: the training images in use.
  /// - Throws: `RSOError` if the method is for other images.
  /// - Complexity: O(values)
  init(_ method: Method, over images: Split) throws {
    let channels = images.shape.channels
    let zeros = [Float](repeating: 0, count: channels)
    switch (method, images.images) {
    case (.unchanged, .floats), (.pixels, .bytes): self.init(mean: zeros)
    case (.integers, .bytes): self.init(mean: zeros, divisor: 256)
    case (.unchanged, .bytes):
      self.init(mean: zeros, deviation: [Float](repeating: 1 / 255, count: channels))
    case (.pixels, .floats), (.integers, .floats):
      throw RSOError(
        "`normalize`",
        "\(method.rawValue): expected bytes in \(images.names.images), found floats",
        hint: "none takes floats as they are")
    case (.mean, _): self.init(mean: try images.channelMeans().map { Float($0) })
    case (.standard, _):
      let means = try images.channelMeans()
      self.init(mean: means.map { Float($0) }, deviation: try images.channelDeviations(from: means))
    }
  }
}

extension Split {
  /// Values in one channel of all images.
  private var valuesPerChannel: Double { Double(shape.area * count) }

  /// The mean of pixel / 255, or of floats, of every channel. Sums bytes as integers, which is exact, and floats in
  /// order, in double precision.
  fileprivate func channelMeans() throws -> [Double] {
    switch images {
    case .bytes(let bytes):
      let sums = try channels(of: bytes, from: 0) { sum, byte, _ in sum &+ Int(byte) }
      return sums.map { Double($0) / (255 * valuesPerChannel) }
    case .floats(let floats):
      let sums = try channels(of: floats, from: 0.0) { sum, value, _ in sum + Double(value) }
      return sums.map { $0 / valuesPerChannel }
    }
  }

  /// The standard deviation (n) of every channel; 1 for a channel whose values are all equal. The mean of equal values is
  /// exact: their sum has at most 24 bits more than their number, and a double has 53.
  fileprivate func channelDeviations(from means: [Double]) throws -> [Float] {
    func squares<Value>(_ values: [Value], _ number: (Value) -> Double) throws -> [Double] {
      try channels(of: values, from: 0.0) { sum, value, channel in
        let difference = number(value) - means[channel]
        return sum + difference * difference
      }
    }
    let sums =
      switch images {
      case .bytes(let bytes): try squares(bytes) { Double($0) / 255 }
      case .floats(let floats): try squares(floats) { Double($0) }
      }
    return sums.map { sum in
      let deviation = Float((sum / valuesPerChannel).squareRoot())
      return deviation == 0 ? 1 : deviation
    }
  }

  /// Adds up every channel of `values` `[N, channels, area]`.
  private func channels<Value, Sum>(
    of values: [Value], from zero: Sum, add: (Sum, Value, _ channel: Int) -> Sum
  ) throws -> [Sum] {
    let (channels, area) = (shape.channels, shape.area)
    var sums = [Sum](repeating: zero, count: channels)
    try values.withUnsafeBufferPointer { values in
      for start in stride(from: 0, to: values.count, by: area) {
        if start / area % 1024 == 0 { try StopRequest.check() }
        let channel = start / area % channels
        var sum = sums[channel]
        for place in start..<start + area { sum = add(sum, values[place], channel) }
        sums[channel] = sum
      }
    }
    return sums
  }
}
