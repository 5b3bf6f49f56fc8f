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
      var followsKernel = false
      for turn in turns { try Self.launch(turn, module, &followsKernel) }
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

  /// Queues the launches of a turn, or of turns that are judged together. A branch starts after the launches before its
  /// first one, and runs beside the later ones.
  ///
  /// - Parameter followsKernel: whether the last work on the graph's own stream is a kernel.
  private static func launch(
    _ launches: [CUDALaunch], _ module: CUDAModule, _ followsKernel: inout Bool
  ) throws {
    let context = module.context
    var branches: Set<Int> = []
    for launch in launches {
      guard let branch = launch.branch else {
        try module.launch(launch, followsKernel: followsKernel)
        followsKernel = true
        continue
      }
      let stream = try context.branch(branch)
      let isFirst = branches.insert(branch).inserted
      if isFirst { try context.order(stream, after: context.stream) }
      try module.launch(launch, on: stream, followsKernel: !isFirst)
    }
    for branch in branches.sorted() {
      try context.order(context.stream, after: context.branch(branch))
      followsKernel = false
    }
  }

  func launch() throws {
    let context = module.context
    try context.check("cuGraphLaunch", context.driver.cuGraphLaunch(graph, context.stream))
  }
}

/// Turns with the same launches: one turn, and some in a row as one graph. A group of turns that are judged together
/// counts as one.
struct CUDATurnGraphs {
  /// A group has work enough for the time that it takes the host to launch the next one.
  static let groupRows = [1]
  /// Of all candidates. With `slope`, one turn in sixteen has all of them, and the fifteen after it are a graph, too.
  static let rows = [16, 1]
  /// Of all but the first. A mini-batch that is held has such turns after its first one.
  static let shortRows = [15, 5, 1]
  private let graphs: [(turns: Int, graph: CUDAGraph)]

  /// - Parameters:
  ///   - launches: the launches of one turn.
  ///   - rows: how many turns in a row become a graph, in falling order down to 1.
  init(_ module: CUDAModule, _ launches: [CUDALaunch], rows: [Int]) throws {
    graphs = try rows.map {
      ($0, try CUDAGraph(module, Array(repeating: launches, count: $0)))
    }
  }

  func launch(_ turns: Int) throws {
    var left = turns
    for (turns, graph) in graphs {
      while left >= turns {
        try graph.launch()
        left -= turns
      }
    }
  }
}
