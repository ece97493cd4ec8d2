/// `data`: what is trained and evaluated on, and how texts become samples.
public struct DataRecipe: RecipeSection {
    public enum Format: String, RecipeWord {
        /// Found out from the first record.
        case auto
        case alpaca
        /// ShareGPT and OpenHermes.
        case conversations
        /// OpenAI.
        case messages
        case openorca
        /// `prompt` and `completion`.
        case prompt
        /// A `text` field.
        case text
        /// `input_ids`, with or without `labels`.
        case inputIDs = "input_ids"
        /// A file of plain text.
        case plain
    }

    public enum Template: String, RecipeWord {
        case alpaca
        case llama2 = "llama-2"
        case llama3 = "llama-3"
        case chatml
        case none
    }

    /// One file of `data.train`.
    public struct Source: RecipeSection {
        public var path = ""
        /// Share of the mix, relative to the others'.
        public var weight = 1.0
        public var format = Format.auto

        public init() {}

        public static let keys: [RecipeKey<Source>] = [
            RecipeKey("path", \.path, .notEmpty, isRequired: true),
            RecipeKey("weight", \.weight, .above(0)),
            RecipeKey("format", \.format),
        ]
    }

    /// One set of `data.evaluation`; its results are `eval/NAME` in the metrics.
    public struct EvaluationSet: RecipeSection {
        public var name = ""
        public var path = ""
        public var format = Format.auto

        public init() {}

        public static let keys: [RecipeKey<EvaluationSet>] = [
            RecipeKey("name", \.name, .notEmpty, isRequired: true),
            RecipeKey("path", \.path, .notEmpty, isRequired: true),
            RecipeKey("format", \.format),
        ]
    }

    public var train: [Source] = []
    public var evaluation: [EvaluationSet] = []
    public var template = Template.alpaca
    /// Tokens of a sample at most.
    public var length = 512
    /// Several documents in one sample, without attention across them.
    public var packing = false
    public var shuffle = true
    /// Only answers carry loss.
    public var answersOnly = true
    /// Share of the records of every training file that is not trained on but evaluated, as `eval/validation`; 0: none.
    public var validation = 0.0
    /// Directory that keeps the tokens of `train` from one run to the next; null: they are made as they are needed.
    public var cache: String?

    public init() {}

    public static let keys: [RecipeKey<DataRecipe>] = [
        RecipeKey("train", \.train),
        RecipeKey(
            "evaluation", \.evaluation,
            RecipeRange("sets with different names") { Set($0.map(\.name)).count == $0.count }, influences: .nothing),
        RecipeKey("template", \.template),
        RecipeKey("length", \.length, .within(2...(1 << 24))),
        RecipeKey("packing", \.packing),
        RecipeKey("shuffle", \.shuffle),
        RecipeKey("answers_only", \.answersOnly),
        RecipeKey("validation", \.validation, RecipeRange("a share from 0, below 1") { $0 >= 0 && $0 < 1 }),
        RecipeKey("cache", \.cache, influences: .nothing),
    ]
}
