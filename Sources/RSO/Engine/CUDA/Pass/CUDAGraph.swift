/// Launches captured once and started together, so that the host's work per launch does not limit the speed.
final class CUDAGraph {
  private let module: CUDAModule
  private let graph: CUDADriver.Handle

  /// - Parameter turns: the launches of each turn. A turn is done before the next one begins.
  init(_ module: CUDAModule, _ turns: [[CUDALaunch]]) throws {
    let (context, driver) = (module.context, module.context.driver)
    // 1: only this thread's calls are checked.
    try context.check("cuStreamBeginCapture", driver.cuStreamBeginCapture(context.stream, 1))
    var captured: CUDADriver.Handle = nil
    do {
      for turn in turns { try Self.launch(turn, module) }
    } catch {
      // The capture must end, or the stream accepts no more work.
      if driver.cuStreamEndCapture(context.stream, &captured) == 0 {
        _ = driver.cuGraphDestroy(captured)
      }
      throw error
    }
    try context.check("cuStreamEndCapture", driver.cuStreamEndCapture(context.stream, &captured))
    defer { _ = driver.cuGraphDestroy(captured) }
    var graph: CUDADriver.Handle = nil
    try context.check("cuGraphInstantiate", driver.cuGraphInstantiate(&graph, captured, 0))
    self.module = module
    self.graph = graph
  }

  deinit { _ = module.context.driver.cuGraphExecDestroy(graph) }

  /// Queues a turn's launches. A branch starts after the launches before its first one, and runs beside the later ones.
  private static func launch(_ launches: [CUDALaunch], _ module: CUDAModule) throws {
    let context = module.context
    var branches: Set<Int> = []
    for launch in launches {
      guard let branch = launch.branch else {
        try module.launch(launch)
        continue
      }
      let stream = try context.branch(branch)
      if branches.insert(branch).inserted { try context.order(stream, after: context.stream) }
      try module.launch(launch, on: stream)
    }
    for branch in branches.sorted() {
      try context.order(context.stream, after: context.branch(branch))
    }
  }

  func launch() throws {
    let context = module.context
    try context.check("cuGraphLaunch", context.driver.cuGraphLaunch(graph, context.stream))
  }
}

/// The turns of a sweep, which all have the same launches: one turn, and many in a row as one graph.
struct CUDATurnGraphs {
  static let many = 16
  private let one: CUDAGraph
  /// `nil` if turns come one by one.
  private let row: CUDAGraph?

  /// - Parameters:
  ///   - launches: the launches of one turn.
  ///   - inRows: whether turns are launched in a row.
  init(_ module: CUDAModule, _ launches: [CUDALaunch], inRows: Bool) throws {
    one = try CUDAGraph(module, [launches])
    row = inRows ? try CUDAGraph(module, Array(repeating: launches, count: Self.many)) : nil
  }

  func launch(_ turns: Int) throws {
    let rows = row == nil ? 0 : turns / Self.many
    for _ in 0..<rows { try row?.launch() }
    for _ in rows * Self.many..<turns { try one.launch() }
  }
}
