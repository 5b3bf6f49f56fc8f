import RSO

/// The C functions that a program's steps call, each once.
struct CFunctions {
  typealias Element = CProgram.Element

  private(set) var texts: [String] = []
  private var names: Set<String> = []

  /// Adds a function unless it is there.
  mutating func add(_ name: String, _ text: String) -> String {
    if names.insert(name).inserted { texts.append(text) }
    return name
  }

  // MARK: Weights

  private mutating func unpack() {
    _ = add(
      "unpack",
      """
      /* Integers of `bits` bits each, the least significant bits of a byte first, from number `first` on.
         A single bit is -1 or 1; more are two's complement. */
      static void unpack(const uint8_t *from, int first, int count, int bits, int8_t *to)
      {
        const unsigned mask = (1u << bits) - 1, sign = 1u << (bits - 1);
        for (int i = 0; i < count; i++) {
          const long at = (long)(first + i) * bits;
          const unsigned word = from[at >> 3] | (unsigned)from[(at >> 3) + 1] << 8;
          const unsigned field = (word >> (at & 7)) & mask;
          to[i] = (int8_t)(bits == 1 ? 2 * (int)field - 1 : (int)(field ^ sign) - (int)sign);
        }
      }
      """)
  }

  // MARK: Steps to levels

  mutating func falls() {
    _ = add(
      "falls",
      """
      /* Whether a map falls in a channel, by its bit. */
      static int falls(const uint8_t *falling, int channel)
      {
        return falling && ((falling[channel >> 3] >> (channel & 7)) & 1);
      }
      """)
  }

  private mutating func reached(_ threshold: Element) -> String {
    let number = threshold == .f32 ? "float" : "int32_t"
    return add(
      "reached_\(threshold)",
      """
      /* How many of `count` = 2^n - 1 rising thresholds x reaches. */
      static int reached_\(threshold)(const \(threshold.c) *thresholds, int count, \(number) x)
      {
        int reached = 0;
        for (int half = (count + 1) / 2; half > 0; half /= 2)
          if (x >= thresholds[reached + half - 1]) reached += half;
        return reached;
      }
      """)
  }

  mutating func levels(_ x: Element, _ threshold: Element, _ y: Element) -> String {
    falls()
    let reached = reached(threshold)
    return add(
      "levels_\(x)_\(threshold)_\(y)",
      """
      static void levels_\(x)_\(threshold)_\(y)(int places, int channels, const \(x.c) *x,
        const \(threshold.c) *thresholds, const uint8_t *falling, int count, int low, int step, \(y.c) *y)
      {
        for (int place = 0; place < places; place++)
          for (int c = 0; c < channels; c++) {
            const int32_t value = falls(falling, c) ? -(int32_t)*x++ : *x++;
            *y++ = (\(y.c))(low + step * \(reached)(thresholds + c * count, count, value));
          }
      }
      """)
  }

  mutating func levelsOfFloats(_ y: Element) -> String {
    let reached = reached(.f32)
    return add(
      "levels_f32_\(y)",
      """
      static void levels_f32_\(y)(int size, const float *x, const float *thresholds, int count,
        int low, int step, \(y.c) *y)
      {
        for (int i = 0; i < size; i++) y[i] = (\(y.c))(low + step * \(reached)(thresholds, count, x[i]));
      }
      """)
  }

  // MARK: Convolutions

  /// How a convolution ends, with the type of its thresholds.
  enum Finish: Hashable {
    case levels(Element)
    case integers
    case floats
    case rounded
  }

  mutating func convolution(
    _ x: Element, isPacked: Bool, isDepthwise: Bool, _ finish: Finish, _ y: Element
  ) -> String {
    let sum = x == .f32 || !isPacked || finish == .rounded ? "float" : "int32_t"
    let name: String
    let parameters: String
    let start: String
    let end: String
    switch finish {
    case .levels(let threshold):
      falls()
      name = "levels_\(threshold)_\(y)"
      parameters =
        "const \(threshold.c) *thresholds,\n  const uint8_t *falling, int count, int low, int step"
      start = "const int32_t sign = falls(falling, o) ? -1 : 1;"
      end =
        "(\(y.c))(low + step * \(reached(threshold))(thresholds + o * count, count, sign * sum))"
    case .integers:
      name = "\(y)"
      parameters = "const int32_t *factors, const int32_t *biases"
      start = "const int32_t factor = factors ? factors[o] : 1, bias = biases ? biases[o] : 0;"
      end = "(\(y.c))(factor * sum + bias)"
    case .floats:
      name = "\(y)"
      parameters = "const float *scales, const float *offsets"
      start = "const float scale = scales ? scales[o] : 1, offset = offsets ? offsets[o] : 0;"
      end = "scale * \(sum == "float" ? "" : "(float)")sum + offset"
    case .rounded:
      name = "rounded_\(y)"
      parameters = "const float *starts, const float *scales"
      start = "const float scale = scales[o];"
      end = "scale * sum"
    }
    if isPacked { unpack() }
    let kind = isDepthwise ? "depthwise" : "convolve"
    let full = "\(kind)_\(x)_\(isPacked ? "packed" : "f32")_\(name)"
    let inputs = isDepthwise ? "" : " * w->channels"
    let own =
      isPacked
      ? "unpack(weights, o * size, size, bits, row);" : "const float *row = weights + o * size;"
    return add(
      full,
      """
      /* \(isDepthwise ? "Each channel with its own window" : "All channels under a window"), \
      by the weights of every output channel; padding is 0. */
      static void \(full)(const window *w, const \(x.c) *x,
        const \(isPacked ? "uint8_t" : "float") *weights,\(isPacked ? " int bits," : "") \(parameters), \(y.c) *y)
      {
        const int size = w->kernel_height * w->kernel_width\(inputs);
        for (int o = 0; o < w->out_channels; o++) {
          \(own)
          \(start)
          \(y.c) *to = y + o;
          for (int r = 0; r < w->out_height; r++) {
            const int top = r * w->stride - w->padding;
            for (int c = 0; c < w->out_width; c++) {
              const int left = c * w->stride - w->padding;
              const int first = left < 0 ? -left : 0;
              const int last = left + w->kernel_width > w->width ? w->width - left : w->kernel_width;
              \(sum) sum = \(finish == .rounded ? "starts[o]" : "0");
              for (int k = 0; k < w->kernel_height; k++) {
                if (top + k < 0 || top + k >= w->height || first >= last) continue;
                const \(x.c) *in = x + ((top + k) * w->width + left + first) * w->channels\(isDepthwise ? " + o" : "");
                const \(isPacked ? "int8_t" : "float") *by = row + (k * w->kernel_width + first)\(inputs);
                for (int i = (last - first)\(inputs); i > 0; i--\(isDepthwise ? ", in += w->channels" : "")) \
      sum += *in\(isDepthwise ? "" : "++") * *by++;
              }
              *to = \(end);
              to += w->out_channels;
            }
          }
        }
      }
      """)
  }
}

extension CProgram.Element: CustomStringConvertible {
  var description: String { rawValue }

  /// Its name in C.
  var c: String {
    switch self {
    case .u8: "uint8_t"
    case .i8: "int8_t"
    case .i16: "int16_t"
    case .i32: "int32_t"
    case .f32: "float"
    }
  }
}
