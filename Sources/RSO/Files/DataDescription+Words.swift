extension DataDescription {
  /// The training and validation samples together.
  package var trainAndValidation: Int {
    let (sum, isTooLarge) = train.addingReportingOverflow(validation ?? 0)
    return isTooLarge ? .max : sum
  }

  package var words: String {
    "\(directory ?? name) of digest \(digest) (\(train) to train on, "
      + (validation.map { "\($0) to validate, " } ?? "") + "\(test) to test)"
  }

  /// What to know about an evaluation on a split of the same data, if the data are not split as in the run; else `nil`.
  ///
  /// Validation images come after the training images, in `data` as in the run.
  package func doubt(about split: EvaluatedSplit, of data: Dataset) -> String? {
    let (end, held) = (data.train.count, data.validation?.count ?? 0)
    switch split {
    case .test: return nil
    case .train:
      let unseen = end - min(max(train, 0), end)
      return unseen == 0
        ? nil : "\(unseen) of the \(end) training images had no part in the training of the model"
    case .validation:
      let seen = min(max(train - end, 0), held)
      let own =
        validation.map {
          "the run kept out the last \($0) of \(trainAndValidation) images: "
            + "--train-limit \(trainAndValidation) --validation \($0)"
        } ?? "the run kept none out"
      return seen == 0
        ? nil : "the model was trained on \(seen) of these \(held) validation images (\(own))"
    }
  }
}
