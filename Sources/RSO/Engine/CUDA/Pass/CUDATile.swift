import CRSO

/// How a 3×3 convolution with many outputs is divided into blocks that share their input, on tensor cores (`matrix.cu`)
/// or without them (`tile.cu`, `mix.cu`).
struct CUDATile {
  let kernel: CUDAKernel
  let layout: CUDAWeights.Layout
  /// The window on the input, or on the value whose average is the input.
  let window: rso_gpu_slide
  /// Rows of the input that a block reads.
  let rows: Int
  /// Samples per block, blocks per image, and threads per block.
  let samples: Int
  let bands: Int
  let threads: Int
  /// Bytes of shared memory.
  let shared: Int

  /// - Parameters:
  ///   - slide: the convolution's window.
  ///   - box: the input is the mean of 2×2 places of this value, with this padding around it.
  ///   - outputs: number of outputs in memory, including padding.
  ///   - matrix: the precision if tensor cores may be used: all inputs are there, and the sum starts from a bias.
  ///   - readsHalves: the input's numbers are halves.
  ///   - mixed: one channel is mixed into a rest, for this many candidates.
  /// - Returns: `nil` for any other convolution, or if a block would need too much shared memory.
  init?(
    _ slide: rso_gpu_slide, box: DeviceValue.Box?, inputs: Int, outputs: Int,
    matrix precision: CUDAPrecision? = nil, readsHalves: Bool = false, mixed candidates: Int? = nil
  ) {
    guard slide.kernel_height == 3, slide.kernel_width == 3, outputs % 16 == 0,
      slide.stride == (box == nil ? 1 : 2), slide.padding == (box == nil ? 1 : 0),
      box == nil || box?.padding == 1
    else { return nil }
    var window = slide
    if let box {
      window.height = Int32(box.shape.height)
      window.width = Int32(box.shape.width)
      window.padding = 1
    }
    self.window = window
    let (height, width) = (Int(slide.out_height), Int(slide.out_width))
    let isBox = box != nil
    // Inputs that tensor cores sum at a time.
    let group = isBox ? 2 : 8
    let precision = inputs % group == 0 ? precision : nil
    // Choose the strip that wastes the fewest places.
    let other = precision == nil ? 4 : 8
    let isSeven = (width + 6) / 7 * 7 <= (width + other - 1) / other * other
    let strip = isSeven ? 7 : other
    let candidates = isBox ? nil : candidates
    // Warps that share a strip's outputs, and warps per block.
    let parts = candidates != nil ? 4 : precision == nil && isBox ? 2 : 1
    let warps = isSeven && candidates == nil && (precision != nil || !isBox) ? 4 : 8
    let most = warps / parts
    let perRow = (width + strip - 1) / strip
    let strips = min(most >= perRow ? most / perRow * perRow : most, perRow * height)
    let span =
      strips % perRow == 0 ? strips / perRow : (strips + 2 * perRow - 2) / perRow
    rows = (span - 1) * Int(slide.stride) + (isBox ? 4 : 3)
    bands = (perRow * height + strips - 1) / strips
    threads = strips * parts * 32
    let places = rows * Int(window.width)
    if let precision {
      samples = 16
      layout = isBox ? .matrixBox : .matrix
      // Bytes from one input to the next, as in `betweenInputs`, and those of its weights.
      let gap = isBox ? 32 : 16
      let between =
        readsHalves
        ? 2 * ((places * samples + 2 * gap - 1) / (2 * gap) * 2 * gap + gap)
        : 4 * (places * samples + 8)
      let weights = 4 * CUDAWeights.rowLength(layout)
      shared = max(2 * group * (between + weights) + 8 * inputs, 16 * warps * 32)
      kernel =
        switch (isSeven, isBox, precision) {
        case (true, false, .fp32): .matrix7
        case (true, true, .fp32): .matrix7Box
        case (false, false, .fp32): .matrix8
        case (false, true, .fp32): .matrix8Box
        case (true, false, .tf32): .matrix7TF32
        case (true, true, .tf32): .matrix7BoxTF32
        case (false, false, .tf32): .matrix8TF32
        case (false, true, .tf32): .matrix8BoxTF32
        case (true, false, .halves): .matrix7Halves
        case (true, true, .halves): .matrix7BoxHalves
        case (false, false, .halves): .matrix8Halves
        case (false, true, .halves): .matrix8BoxHalves
        case (true, false, .fp16): .matrix7FP16
        case (true, true, .fp16): .matrix7BoxFP16
        case (false, false, .fp16): .matrix8FP16
        case (false, true, .fp16): .matrix8BoxFP16
        }
    } else if let candidates {
      samples = 32
      layout = .plain
      shared = (9 * 16 + candidates * (places * samples + 2 * 4 * (warps * 32 + 1))) * 4
      kernel = isSeven ? .mix7 : .mix4
    } else {
      samples = 32
      layout = .plain
      let stages = 3 * (places * samples + 9 * 16) * 4
      let sums = 2 * 16 * ((warps * 32 + 1) * 4 + strips * 8)
      shared = max(stages, sums)
      kernel =
        switch (isSeven, isBox) {
        case (true, false): .tile7
        case (true, true): .tile7Box
        case (false, false): .tile4
        case (false, true): .tile4Box
        }
    }
    guard shared <= rso_gpu_shared else { return nil }
  }
}
