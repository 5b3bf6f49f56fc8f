import Testing

@testable import RSO

/// The plan against what the definition says, written out by hand.
@Suite struct SweepPlanTests {
  /// The roles of all nodes as one string: `.` frozen, `f` fixed, `1` one channel, `m` mixing, `W` whole.
  static func roles(_ plan: SweepPlan) -> String {
    String(
      plan.roles.map { role -> Character in
        switch role {
        case .frozen: "."
        case .fixed: "f"
        case .oneChannel: "1"
        case .mixing: "m"
        case .whole: "W"
        }
      })
  }

  static func plan(_ network: Network, sweeping name: String) throws -> SweepPlan {
    let node = try #require(network.nodes.firstIndex { $0.name == name })
    return SweepPlan(network: network, sweeping: node)
  }

  /// The name of what is cached: `input` or a layer.
  static func cached(_ plan: SweepPlan, _ network: Network) -> String {
    plan.cachedValue == 0 ? "input" : network.nodes[plan.cachedValue - 1].name
  }

  /// Every tensor of the six-block network: convolution and batch norm of a block, and the last layer.
  ///
  ///     block 0     block 1               block 2               block 3
  ///     conv0 bn0   relu1 conv1 pool1 bn1 relu2 conv2 bn2       relu3 conv3 pool3 bn3
  ///     block 4           block 5
  ///     relu4 conv4 bn4   relu5 conv5 bn5   global_pool fc
  @Test(arguments: [
    //          0  1    2    3    4    5
    (0, "input", "11" + "1mWW" + "WWW" + "WWWW" + "WWW" + "WWW" + "WW"),
    (1, "relu1", ".." + ".111" + "1mW" + "WWWW" + "WWW" + "WWW" + "WW"),
    (2, "relu2", ".." + "...." + ".11" + "1mWW" + "WWW" + "WWW" + "WW"),
    (3, "relu3", ".." + "...." + "..." + ".111" + "1mW" + "WWW" + "WW"),
    (4, "relu4", ".." + "...." + "..." + "...." + ".11" + "1mW" + "WW"),
    (5, "relu5", ".." + "...." + "..." + "...." + "..." + ".11" + "1m"),
  ])
  func sixBlocks(block: Int, cached: String, roles: String) throws {
    let network = try Network.mnist()
    // β and γ continue on what is cached for the block's convolution.
    for layer in ["conv\(block)", "bn\(block)"] {
      let plan = try Self.plan(network, sweeping: layer)
      #expect(network.nodes[plan.node].name == layer)
      #expect(plan.group.map { network.nodes[$0].name } == "conv\(block)")
      // The authors' script caches the output of the block below before its ReLU. Nothing else reads it, and
      // ReLU takes no statistics, so its result is cached instead: the same numbers, once.
      #expect(Self.cached(plan, network) == cached)
      #expect(Self.roles(plan) == roles, "\(layer)")
    }
  }

  @Test func sixBlocksFullyConnected() throws {
    let network = try Network.mnist()
    let plan = try Self.plan(network, sweeping: "fc")
    #expect(Self.cached(plan, network) == "global_pool")
    #expect(plan.group == plan.node)
    #expect(Self.roles(plan) == String(repeating: ".", count: network.nodes.count - 1) + "1")
  }

  /// The engines compute a network whose pooling comes before the convolution: the same groups, and the
  /// pooled values are cached.
  @Test func foldedPools() throws {
    let network = try Network.mnist().foldingAveragePools()
    //     conv0 bn0 | relu1 pool1 conv1 bn1 | relu2 conv2 bn2 | relu3 pool3 conv3 bn3 | …
    for (layer, cached, roles) in [
      ("conv0", "input", "11" + "11mW" + "WWW" + "WWWW"),
      ("conv1", "pool1", ".." + "..11" + "1mW" + "WWWW"),
      ("bn1", "pool1", ".." + "..11" + "1mW" + "WWWW"),
      ("conv2", "relu2", ".." + "...." + ".11" + "11mW"),
      ("bn3", "pool3", ".." + "...." + "..." + "..11"),
    ] {
      let plan = try Self.plan(network, sweeping: layer)
      #expect(Self.cached(plan, network) == cached)
      #expect(Self.roles(plan).prefix(roles.count) == roles, "\(layer)")
      let group = layer.replacing("bn", with: "conv")
      #expect(plan.group.map { network.nodes[$0].name } == group)
    }
  }

  /// "Blocks 1 and 2 start from the output of block 0, blocks 3 and 4 from that of block 2, 5 and 6 from
  /// 4, 7 and 8 from 6. Block 0 starts from the images, the fully connected layer from the last block's
  /// output", which is pooled: pooling has nothing to search.
  @Test(arguments: [
    ("conv0", "input"), ("bn0", "input"), ("conv1", "bn0"), ("bn1", "bn0"), ("conv2", "bn0"),
    ("bn2", "bn0"), ("conv3", "bn2"), ("bn3", "bn2"), ("conv4", "bn2"), ("bn4", "bn2"),
    ("shortcut4", "bn2"), ("shortcut_bn4", "bn2"), ("conv5", "bn4"), ("bn5", "bn4"),
    ("conv6", "bn4"), ("bn6", "bn4"), ("conv7", "bn6"), ("bn7", "bn6"), ("conv8", "bn6"),
    ("bn8", "bn6"), ("fc", "global_pool"),
  ])
  func nineBlocksCachedValue(layer: String, cached: String) throws {
    let network = try Self.nineBlocks()
    let plan = try Self.plan(network, sweeping: layer)
    #expect(Self.cached(plan, network) == cached)
    let group = layer.replacing("bn", with: "conv").replacing("shortcut_conv", with: "shortcut")
    #expect(plan.group.map { network.nodes[$0].name } == group)
  }

  static func nineBlocks() throws -> Network {
    try .paper(layers: 9, input: Shape(channels: 3, height: 32, width: 32), classes: 10)
  }

  /// Roles around a shortcut without layers of its own (into block 2) and one with them (into 4).
  ///
  ///     conv0 bn0 | relu1 conv1 bn1 | relu2 conv2 add2 pool2 bn2 | relu3 conv3 bn3
  ///     | shortcut4 shortcut_bn4 relu4 conv4 add4 pool4 bn4 | relu5 …
  @Test(arguments: [
    // conv0's channel goes through relu1 to conv1, and by the shortcut meets block 2 mixed.
    ("conv0", "11" + "1mW" + "WWWWW" + "WWW" + "WWWWWWW"),
    // Block 1's channel is mixed by conv2; the shortcut from block 0 is the same for all.
    ("conv1", ".." + "f11" + "1mWWW" + "WWW" + "WWWWWWW"),
    // Starting from block 0, block 1 is computed on the mini-batch's statistics: fixed.
    ("conv2", ".." + "fff" + "f1111" + "1mW" + "mWWWWWW"),
    ("bn2", ".." + "fff" + "f1111" + "1mW" + "mWWWWWW"),
    // Block 3: the shortcut's own layers are fixed.
    ("conv3", ".." + "..." + "....." + "f11" + "ff1mWWW"),
    ("conv4", ".." + "..." + "....." + "fff" + "fff1111"),
    // The shortcut's channel: block 3 and conv4 are fixed, `add` keeps the channel alone.
    ("shortcut4", ".." + "..." + "....." + "fff" + "11ff111"),
    ("shortcut_bn4", ".." + "..." + "....." + "fff" + "11ff111"),
  ])
  func nineBlocksRoles(layer: String, roles: String) throws {
    let network = try Self.nineBlocks()
    #expect(
      network.nodes.prefix(20).map(\.name)
        == [
          "conv0", "bn0", "relu1", "conv1", "bn1", "relu2", "conv2", "add2", "pool2", "bn2",
          "relu3", "conv3", "bn3", "shortcut4", "shortcut_bn4", "relu4", "conv4", "add4", "pool4",
          "bn4",
        ])
    let plan = try Self.plan(network, sweeping: layer)
    #expect(Self.roles(plan).prefix(20) == roles)
  }

  /// Node indices grow along every path, so each value can be computed from those before it; nothing
  /// above the cached value may read below it; and a lone channel starts exactly at the group.
  @Test(arguments: Sample.networks.indices)
  func everyPlanIsSound(index: Int) throws {
    let network = try Sample.networks[index].network()
    for slot in Parameters(zerosFor: network).slots {
      let plan = SweepPlan(network: network, sweeping: slot.node)
      let name = "\(Sample.networks[index].name), \(slot.name)"
      for (node, inputs) in network.inputs.enumerated() {
        let below = inputs.map { $0 <= plan.cachedValue ? nil : plan.roles[$0 - 1] }
        switch plan.roles[node] {
        case .frozen:
          #expect(node < plan.cachedValue, "\(name)")
        case .fixed:
          #expect(inputs.allSatisfy { $0 >= plan.cachedValue }, "\(name)")
          #expect(below.allSatisfy { $0 == nil || $0 == .fixed }, "\(name)")
        case .oneChannel:
          #expect(inputs.allSatisfy { $0 >= plan.cachedValue }, "\(name)")
          if node != plan.root && node != plan.node {
            #expect(below.contains(.oneChannel), "\(name)")
            #expect(!network.nodes[node].layer.mixesChannels, "\(name)")
          }
        case .mixing:
          #expect(network.nodes[node].layer.mixesChannels, "\(name)")
          #expect(below == [.oneChannel], "\(name)")
        case .whole:
          #expect(below.contains(.mixing) || below.contains(.whole), "\(name)")
        }
      }
      #expect(plan.roles[slot.node] == .oneChannel, "\(name)")
    }
  }

  // MARK: Edge cases

  /// A batch norm that reads the images has no convolution to share a cache with.
  @Test func batchNormOnTheImages() throws {
    let network = try Network(input: Shape(channels: 2, height: 4, width: 4)) {
      Node.batchNorm("bn")
      Node.flatten("flat")
      Node.linear("fc0", features: 4)
      Node.relu("relu")
      Node.linear("fc1", features: 2)
    }
    let plan = try Self.plan(network, sweeping: "bn")
    #expect(plan.group == nil)
    #expect(plan.cachedValue == 0)
    #expect(Self.roles(plan) == "11mWW")
    // Behind an activation too: it still reads the images.
    let behind = try Network(input: Shape(channels: 2)) {
      Node.activation("tanh", .tanh)
      Node.batchNorm("bn")
      Node.linear("fc", features: 2)
    }
    let late = try Self.plan(behind, sweeping: "bn")
    #expect(late.group == nil)
    #expect(Self.cached(late, behind) == "tanh")
    #expect(Self.roles(late) == ".1m")
  }

  /// The last layer has a lone channel up to the loss; so has one behind which nothing mixes.
  @Test func nothingMixes() throws {
    let network = try Network(input: Shape(channels: 3, height: 2, width: 2)) {
      Node.conv2d("conv", channels: 4, kernel: 1)
      Node.batchNorm("bn")
      Node.globalAveragePool("gap")
    }
    #expect(Self.roles(try Self.plan(network, sweeping: "conv")) == "111")
    let single = try Network(input: Shape(channels: 3)) { Node.linear("fc", features: 2) }
    let plan = try Self.plan(single, sweeping: "fc")
    #expect(plan.cachedValue == 0)
    #expect(Self.roles(plan) == "1")
  }

  /// `add` of a channel and of what was mixed from it, over images, and two mixing layers side by side.
  @Test func branches() throws {
    let network = try Network(input: Shape(channels: 4, height: 4, width: 4)) {
      Node.conv2d("a", channels: 4, kernel: 3, padding: 1)
      Node.conv2d("b", channels: 4, kernel: 3, padding: 1)
      Node.conv2d("c", channels: 4, kernel: 1, input: "a")
      Node.add("bc", "b")
      Node.add("bca", "a")
      Node.add("images", "input")
      Node.globalMaxPool("pool")
    }
    // Both convolutions mix a's channel; their sum differs everywhere.
    #expect(Self.roles(try Self.plan(network, sweeping: "a")) == "1mmWWWW")
    // The images are read at the end: nothing can be frozen.
    for layer in ["a", "b", "c"] {
      #expect(try Self.plan(network, sweeping: layer).cachedValue == 0)
    }
    #expect(Self.roles(try Self.plan(network, sweeping: "b")) == "f1f1111")
    #expect(Self.roles(try Self.plan(network, sweeping: "c")) == "ff11111")
  }

  /// A batch norm belongs to the convolution it reads first, not to the one added on the way.
  @Test func batchNormBehindAnAdd() throws {
    let network = try Network(input: Shape(channels: 2, height: 4, width: 4)) {
      Node.conv2d("a", channels: 4, kernel: 3, padding: 1)
      Node.conv2d("b", channels: 4, kernel: 3, padding: 1)
      Node.add("sum", "a")
      Node.batchNorm("bn")
      Node.globalMaxPool("pool")
    }
    let plan = try Self.plan(network, sweeping: "bn")
    #expect(plan.group == 1)
    #expect(Self.cached(plan, network) == "a")
    #expect(Self.roles(plan) == ".1111")
    // The other way round, `a` is first and the whole starts from the images.
    let other = try Network(input: Shape(channels: 2, height: 4, width: 4)) {
      Node.conv2d("a", channels: 4, kernel: 3, padding: 1)
      Node.conv2d("b", channels: 4, kernel: 3, padding: 1)
      Node.add("sum", "b", input: "a")
      Node.batchNorm("bn")
      Node.globalMaxPool("pool")
    }
    let swapped = try Self.plan(other, sweeping: "bn")
    // a's channel comes to it mixed as well, so the lone channel is one of the sum's: γ and β of others stay.
    #expect(swapped.group == 0)
    #expect(swapped.root == nil)
    #expect(Self.cached(swapped, other) == "input")
    #expect(Self.roles(swapped) == "fff11")
    let lone = LoneChannel(network: other, plan: swapped)
    #expect(lone.channels == 4 && lone.nodes == [3, 4] && lone.fixed == [3])
  }

  /// A depthwise convolution keeps a channel alone, and shares the cache of the nearest mixing layer below it.
  @Test func depthwise() throws {
    let network = try Network(input: Shape(channels: 2, height: 6, width: 6)) {
      Node.depthwiseConv2d("depth0", kernel: 3, padding: 1)
      Node.conv2d("conv1", channels: 4, kernel: 3, padding: 1)
      Node.batchNorm("bn1")
      Node.depthwiseConv2d("depth1", kernel: 3, padding: 1)
      Node.flatten("flat")
      Node.depthwiseConv2d("scale", kernel: 1)
      Node.linear("fc", features: 2)
    }
    let first = try Self.plan(network, sweeping: "depth0")
    #expect(first.group == nil && first.root == nil)
    #expect(Self.roles(first) == "1mWWWWW")
    for layer in ["conv1", "bn1", "depth1", "scale"] {
      let plan = try Self.plan(network, sweeping: layer)
      #expect(plan.group == 1 && plan.root == 1)
      #expect(Self.cached(plan, network) == "depth0")
      #expect(Self.roles(plan) == ".11111m", "\(layer)")
    }
    let lone = LoneChannel(network: network, plan: try Self.plan(network, sweeping: "scale"))
    #expect(lone.channels == 4 && lone.width(6) == 36)
    let settings = SearchSettings()
    let parameters = Parameters(zerosFor: network)
    #expect(
      settings.sweeps(of: parameters, in: network).map { parameters.slots[$0.parameter].name } == [
        "fc.weight", "conv1.weight", "bn1.bias", "bn1.weight", "depth1.weight", "scale.weight",
        "depth0.weight",
      ])
  }
}
