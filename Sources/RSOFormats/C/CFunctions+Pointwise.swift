import RSO

extension CFunctions {
  mutating func transpose(_ x: Element) -> String {
    add(
      "transpose_\(x)",
      """
      static void transpose_\(x)(int rows, int columns, const \(x.c) *x, \(x.c) *y)
      {
        for (int r = 0; r < rows; r++)
          for (int c = 0; c < columns; c++) y[c * rows + r] = *x++;
      }
      """)
  }

  mutating func maxPool(_ x: Element) -> String {
    falls()
    return add(
      "maximum_\(x)",
      """
      /* Maxima over windows; minima in channels that fall. */
      static void maximum_\(x)(const window *w, const \(x.c) *x, const uint8_t *falling, \(x.c) *y)
      {
        \(windows)
              \(x.c) best = 0;
              int is_first = 1;
              for (int i = top < 0 ? 0 : top; i < bottom; i++)
                for (int j = left < 0 ? 0 : left; j < right; j++) {
                  const \(x.c) in = x[(i * w->width + j) * w->channels + ch];
                  if (is_first || (falls(falling, ch) ? in < best : in > best)) best = in;
                  is_first = 0;
                }
              *y++ = best;
            }
          }
        }
      }
      """)
  }

  /// The loops over windows and channels.
  private var windows: String {
    """
    for (int r = 0; r < w->out_height; r++) {
        const int top = r * w->stride - w->padding;
        const int bottom = top + w->kernel_height < w->height ? top + w->kernel_height : w->height;
        for (int c = 0; c < w->out_width; c++) {
          const int left = c * w->stride - w->padding;
          const int right = left + w->kernel_width < w->width ? left + w->kernel_width : w->width;
          for (int ch = 0; ch < w->channels; ch++) {
    """
  }

  mutating func averagePool(_ x: Element, _ y: Element) -> String {
    let isFloat = x == .f32
    return add(
      "sum_\(x)_\(y)",
      """
      /* \(isFloat ? "Means" : "Sums") over windows; padding is 0. */
      static void sum_\(x)_\(y)(const window *w, const \(x.c) *x, \(isFloat ? "float share, " : "")\(y.c) *y)
      {
        \(windows)
              \(isFloat ? "float" : "int32_t") sum = 0;
              for (int i = top < 0 ? 0 : top; i < bottom; i++)
                for (int j = left < 0 ? 0 : left; j < right; j++)
                  sum += x[(i * w->width + j) * w->channels + ch];
              *y++ = \(isFloat ? "share * sum" : "(\(y.c))sum");
            }
          }
        }
      }
      """)
  }

  mutating func add(_ a: Element, _ b: Element, _ y: Element) -> String {
    let number = y == .f32 ? "float" : "int32_t"
    return add(
      "add_\(a)_\(b)_\(y)",
      """
      static void add_\(a)_\(b)_\(y)(int size, const \(a.c) *a, \(number) a_factor,
        const \(b.c) *b, \(number) b_factor, \(y.c) *y)
      {
        for (int i = 0; i < size; i++) y[i] = (\(y.c))(a_factor * a[i] + b_factor * b[i]);
      }
      """)
  }

  mutating func affine(_ x: Element) -> String {
    add(
      "affine_\(x)",
      """
      static void affine_\(x)(int size, int channels, const \(x.c) *x, const float *scale,
        const float *offset, float *y)
      {
        for (int i = 0, c = 0; i < size; i++, c = c + 1 == channels ? 0 : c + 1)
          y[i] = scale[c] * (float)x[i] + offset[c];
      }
      """)
  }

  mutating func widen(_ x: Element, _ y: Element) -> String {
    add(
      "widen_\(x)_\(y)",
      """
      static void widen_\(x)_\(y)(int size, const \(x.c) *x, \(y.c) *y)
      {
        for (int i = 0; i < size; i++) y[i] = x[i];
      }
      """)
  }

  mutating func positivePart(_ x: Element, _ y: Element) -> String {
    add(
      "relu_\(x)_\(y)",
      """
      static void relu_\(x)_\(y)(int size, const \(x.c) *x, \(y.c) *y)
      {
        for (int i = 0; i < size; i++) y[i] = (\(y.c))(x[i] > 0 ? x[i] : 0);
      }
      """)
  }

  // MARK: Activations of floats

  private mutating func exponential() {
    _ = add(
      "exponential",
      """
      /* e^x as 2^n e^r with |r| <= ln 2 / 2, by a polynomial of degree 7; relative error below 3e-7 for x from -87
         to 88, beyond which x is clipped. */
      static float exponential(float x)
      {
        const float limited = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
        const int32_t n = (int32_t)(limited * 1.44269504f + (limited < 0 ? -0.5f : 0.5f));
        const float whole = (float)n;
        const float r = (limited - whole * 0.693359375f) + whole * 2.12194440e-4f;
        union { uint32_t bits; float value; } power;
        float p = 1.0f / 5040;
        p = p * r + 1.0f / 720;
        p = p * r + 1.0f / 120;
        p = p * r + 1.0f / 24;
        p = p * r + 1.0f / 6;
        p = p * r + 0.5f;
        p = p * r * r + r + 1.0f;
        power.bits = (uint32_t)(n + 127) << 23;
        return p * power.value;
      }
      """)
  }

  private mutating func normalTail() {
    exponential()
    _ = add(
      "normal_tail",
      """
      /* The share of the standard normal distribution beyond x >= 0: e^(-x^2 / 2) t P(t), t = 1 / (1 + 0.266 x);
         relative error below 1e-6 for x up to 13. */
      static float normal_tail(float x)
      {
        static const float factors[] = {
          0.0305258669f, -0.140920401f, 0.208318174f, -0.10672579f, 0.131643891f, 0.0628368631f,
          0.102469951f, 0.105714731f, 0.106136799f};
        const float t = 1.0f / (1.0f + 0.266f * x);
        float p = 0;
        for (int i = 0; i < 9; i++) p = p * t + factors[i];
        return exponential(-0.5f * x * x) * t * p;
      }
      """)
  }

  /// A function of floats, and its additional argument if it has one.
  mutating func activation(_ activation: Activation) -> (name: String, argument: String?) {
    var argument: String?
    let (word, body): (String, String)
    switch activation {
    case .relu: (word, body) = ("relu", "x[i] > 0 ? x[i] : 0")
    case .leakyReLU(let slope):
      argument = CWriter.number(Float(slope))
      (word, body) = ("leaky_relu", "x[i] < 0 ? slope * x[i] : x[i]")
    case .sigmoid:
      exponential()
      (word, body) = ("sigmoid", "1.0f / (1.0f + exponential(-x[i]))")
    case .tanh:
      exponential()
      (word, body) = ("tanh", hyperbolicTangent())
    case .gelu:
      normalTail()
      (word, body) = (
        "gelu", "x[i] > 0 ? x[i] - x[i] * normal_tail(x[i]) : x[i] * normal_tail(-x[i])"
      )
    case .silu:
      exponential()
      (word, body) = ("silu", "x[i] / (1.0f + exponential(-x[i]))")
    case .hardSigmoid: (word, body) = ("hard_sigmoid", "\(hardSigmoid())(x[i])")
    case .hardSwish: (word, body) = ("hard_swish", "x[i] * \(hardSigmoid())(x[i])")
    // Steps become levels.
    case .sign, .hardStep, .quantize: (word, body) = ("copy", "x[i]")
    }
    let name = add(
      "activate_\(word)",
      """
      static void activate_\(word)(int size, const float *x, \(argument == nil ? "" : "float slope, ")float *y)
      {
        for (int i = 0; i < size; i++) y[i] = \(body);
      }
      """)
    return (name, argument)
  }

  private mutating func hyperbolicTangent() -> String {
    _ = add(
      "hyperbolic_tangent",
      """
      /* Absolute error below 5e-7. */
      static float hyperbolic_tangent(float x)
      {
        const float y = x > 10.0f ? 10.0f : x < -10.0f ? -10.0f : x, t = y * y, e = exponential(2.0f * y);
        /* Near 0, the quotient would lose digits to cancellation. */
        if (t < 0.04f)
          return y - y * t * (1.0f / 3 - t * (2.0f / 15 - t * (17.0f / 315 - t * (62.0f / 2835))));
        return (e - 1.0f) / (e + 1.0f);
      }
      """)
    return "hyperbolic_tangent(x[i])"
  }

  private mutating func hardSigmoid() -> String {
    add(
      "hard_sigmoid",
      """
      static float hard_sigmoid(float x)
      {
        return (x < -3.0f ? 0.0f : x > 3.0f ? 6.0f : x + 3.0f) * (1.0f / 6);
      }
      """)
  }
}
