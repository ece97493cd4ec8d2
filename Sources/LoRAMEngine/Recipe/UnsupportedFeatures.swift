/// Keys that are known but whose feature does not exist yet. They are refused, never ignored. A feature that arrives takes its row
/// out of the table.
enum UnsupportedFeatures {
    struct Row: Sendable {
        let key: String
        /// What works now, as the end of "use ...".
        let supported: String
        /// The value that is refused; nil where the recipe is fine.
        let refused: @Sendable (Recipe) -> String?
    }

    static let table: [Row] =
        [
            Row(key: "parallel.chunks", supported: "1, or parallel.pipeline: interleaved") {
                $0.parallel.chunks > 1 && $0.parallel.pipeline != .interleaved ? "\($0.parallel.chunks)" : nil
            },
            Row(key: "evaluation.full_model", supported: "never, or parallel.coordinator: dedicated") {
                $0.parallel.coordinator == .dedicated ? nil : refuse($0.evaluation.fullModel, unless: [.never])
            },
            Row(key: "alignment.evaluation.full_model", supported: "never") { refuse($0.alignment.evaluation.fullModel, unless: [.never]) },
            // A base model's tasks are the finished run's.
            Row(key: "alignment.evaluation.tasks", supported: "evaluation.tasks, which run scores at its end") {
                $0.alignment.evaluation.tasks.first.map { "task '\(RecipeNode.oneLine($0.name))'" }
            },
        ]

    /// Error `RecipeError.unsupported` for the first row that refuses.
    static func check(_ recipe: Recipe) throws(RecipeError) {
        for row in table {
            if let value = row.refused(recipe) { throw .unsupported(key: row.key, value: value, supported: row.supported) }
        }
    }

    private static func refuse<Word: RecipeWord>(_ value: Word, unless supported: [Word]) -> String? {
        supported.contains(value) ? nil : value.rawValue
    }
}
