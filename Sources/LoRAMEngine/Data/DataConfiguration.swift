/// What to train on, and how texts become samples: the recipe's `data` section.
public struct DataConfiguration: Sendable, Equatable {
    /// One file of the mix.
    public struct Source: Sendable, Equatable {
        public var path: String
        /// Share of the drawn samples, relative to the other sources'. Finite, above 0.
        public var weight: Double
        /// nil: found out from the file's name and first record.
        public var format: DatasetFormat?
        /// Files of a token cache that hold this source's tokens, in order; `format` is then known.
        public var cachedParts: [String]?

        public init(path: String, weight: Double = 1, format: DatasetFormat? = nil) {
            self.path = path
            self.weight = weight
            self.format = format
        }
    }

    public var sources: [Source]
    public var template: PromptTemplate
    /// Tokens of a sample at most (the window), BOS and EOS included; at least 2.
    public var length: Int
    /// Several documents in one sample, without attention across them.
    public var packing: Bool
    /// A new order in every epoch; otherwise the files' order.
    public var shuffle: Bool
    /// Of instruction samples only the answer carries loss, not the prompt.
    public var answersOnly: Bool
    /// Records of every source that are not trained on.
    public var validation: ValidationSplit?

    public init(
        sources: [Source], template: PromptTemplate = .alpaca, length: Int = 512, packing: Bool = false, shuffle: Bool = true,
        answersOnly: Bool = true
    ) {
        self.sources = sources
        self.template = template
        self.length = length
        self.packing = packing
        self.shuffle = shuffle
        self.answersOnly = answersOnly
    }

    /// - Throws: `DatasetError.invalidSetting`
    func check() throws(DatasetError) {
        guard !sources.isEmpty else {
            throw .invalidSetting(name: "data.train", expected: "at least one file", found: "an empty list")
        }
        try DatasetError.checkWindow(length)
        if let share = validation?.share, !(share > 0 && share < 1) {
            throw .invalidSetting(name: "data.validation", expected: "a share above 0 and below 1", found: "\(share)")
        }
        for source in sources where !(source.weight.isFinite && source.weight > 0) {
            throw .invalidSetting(
                name: "data.train weight of \(source.path)", expected: "a finite number above 0", found: "\(source.weight)")
        }
    }
}

extension DatasetError {
    /// A window holds a token and one to predict; the upper bound only keeps sums of positions within range.
    static func checkWindow(_ length: Int) throws(DatasetError) {
        guard (2...(1 << 30)).contains(length) else {
            throw .invalidSetting(name: "data.length", expected: "2 ... \(1 << 30) tokens", found: "\(length)")
        }
    }

    /// - Throws: `invalidSetting` if a token that frames texts is none of the model's.
    static func checkFrame(_ frame: SequenceFrame, vocabularySize: Int) throws(DatasetError) {
        for (name, id) in [("BOS", frame.bos), ("EOS", frame.eos)] {
            if let id, !(0..<vocabularySize).contains(Int(id)) {
                throw .invalidSetting(name: "\(name) token", expected: "an id in 0 ..< \(vocabularySize)", found: "\(id)")
            }
        }
    }
}
