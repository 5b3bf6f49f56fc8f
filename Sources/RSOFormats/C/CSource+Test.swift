import Foundation
import RSO

extension CSource {
  /// The number of images that a test holds.
  public static let testImages = 16

  /// A C99 program that checks the network's file against images of its own: those of `images`, from the first, whose
  /// class the engine tells clearly, at most `testImages`.
  ///
  /// Run without arguments, it prints a line for every image whose class is another one, and returns 1 if there is any.
  /// Given a file of raw images, one after another without a header, it prints the class of each.
  ///
  /// - Parameters:
  ///   - images: `[N, C, H, W]` of the network's input shape.
  ///   - name: what errors call the images.
  /// - Throws: `RSOError` if the model tells no classes, or the images are not of its shape, or not what the file takes,
  ///   bytes or floats.
  /// - Complexity: one forward pass over the first images.
  public func test(with images: Pixels, name data: String = "test images") throws -> String {
    try requireClasses()
    let size = model.network.input.count
    guard images.count.isMultiple(of: size) else {
      throw RSOError(
        data,
        "expected whole images of \(model.network.input), found \(images.count) values")
    }
    let first = try taken(images, name: data).prefix(8 * Self.testImages * size)
    let predictions = try model.predict(first)
    let chosen = predictions.indices.filter { isExact || predictions[$0].isClear }
      .prefix(Self.testImages)
    let classes = chosen.map { "\(predictions[$0].label)" }
    let rows = chosen.map { index in
      let range = index * size..<(index + 1) * size
      let values =
        switch first {
        case .bytes(let bytes): bytes[range].map { "\($0)" }
        case .floats(let floats): floats[range].map(CWriter.number)
        }
      return "  {\(values.joined(separator: ","))}"
    }
    guard !rows.isEmpty else {
      throw RSOError(data, "expected an image whose class is clear, found none")
    }
    let input = model.takesFloats ? "float" : "uint8_t"
    return """
      /* Checks \(name).c against what rso predicts. Compile it together with that file.

           test              checks the images below; prints mismatches and returns 1 if there are any
           test images.raw   prints the class of every image of a file: \(size) \(model.takesFloats ? "floats" : "bytes") each, no header */
      #include <stdint.h>
      #include <stdio.h>

      \(CFile.declaration(name, model, scores: scores.c));

      static const \(input) images[\(rows.count)][\(size)] = {
      \(rows.joined(separator: ",\n"))};

      static const int classes[\(rows.count)] = {\(classes.joined(separator: ", "))};

      static \(scores.c) scores[\(model.network.classes)];

      /* Prints the class of every image of a file. */
      static int read_images(const char *path)
      {
        static \(input) image[\(size)];
        FILE *file = fopen(path, "rb");
        if (!file) {
          fprintf(stderr, "%s: cannot be read\\n", path);
          return 2;
        }
        size_t count;
        while ((count = fread(image, sizeof *image, \(size), file)) == \(size))
          printf("%d\\n", \(name)_classify(image, scores));
        const int is_cut = count > 0 || ferror(file);
        fclose(file);
        if (is_cut) fprintf(stderr, "%s: expected whole images of \(size) values\\n", path);
        return is_cut ? 2 : 0;
      }

      int main(int argc, char **argv)
      {
        if (argc > 1) return read_images(argv[1]);
        int wrong = 0;
        for (int i = 0; i < \(rows.count); i++) {
          const int found = \(name)_classify(images[i], scores);
          if (found != classes[i]) {
            printf("image %d: expected class %d, found %d\\n", i, classes[i], found);
            wrong++;
          }
        }
        printf("%d of \(rows.count) images as rso predicts\\n", \(rows.count) - wrong);
        return wrong > 0;
      }

      """
  }

  /// - Throws: `RSOError` unless the model tells classes, which a test compares.
  package func requireClasses() throws {
    guard model.hasClasses else {
      throw RSOError(
        "`test`", "expected a model that tells classes, found one whose outputs are numbers")
    }
  }

  /// The images as the file's function takes them, so that it and the engine judge the same numbers.
  ///
  /// - Throws: `RSOError` if it takes bytes, and they are floats: as bytes, they would be other images.
  private func taken(_ images: Pixels, name: String) throws -> Pixels {
    let images = try model.images?.adapted(images, name: name).pixels ?? images
    switch images {
    case .floats where !model.takesFloats:
      throw RSOError(
        name, "expected bytes, as the C file takes them, found floats",
        hint: "give images of bytes, uint8 from 0 to 255")
    case .bytes(let bytes) where model.takesFloats:
      // What the engine divides itself.
      return .floats(bytes.map { Float($0) / model.normalization.divisor })
    case .bytes, .floats: return images
    }
  }
}

extension Prediction {
  /// Whether the largest logit leads by more than another order of sums can change.
  fileprivate var isClear: Bool {
    let best = ranking
    guard best.count > 1 else { return true }
    let lead = logits[best[0]] - logits[best[1]]
    return lead > 1e-3 * logits.reduce(1e-3) { max($0, abs($1)) }
  }
}

extension Pixels {
  /// The first values.
  fileprivate func prefix(_ count: Int) -> Pixels {
    switch self {
    case .bytes(let values): .bytes(Array(values.prefix(count)))
    case .floats(let values): .floats(Array(values.prefix(count)))
    }
  }
}
