import LoRAMEngine

/// The `data` command: each training file of a recipe as its phase would read it.
public enum DataInspection {
    /// - Parameters:
    ///   - tokenizer: a tokenizer's file or directory; nil: the one beside `trained_on` or `model`, if there is one.
    ///   - shown: samples of each file to keep token by token, in the file's order.
    ///   - limit: samples of each file to look at.
    /// - Throws: `TrainingError.noTrainingData`, `DatasetError`, errors of the tokenizer.
    public static func reports(_ recipe: Recipe, phase: Recipe.Phase, tokenizer: String?, shown: Int, limit: Int) throws -> [DataReport] {
        let config = recipe.model.flatMap { try? ModelReference.config($0) }
        let settings = TrainingSettings(recipe: recipe, phase: phase, tied: config?.tiesWordEmbeddings ?? false)
        guard !settings.data.train.isEmpty else { throw TrainingError.noTrainingData(phase) }
        let path = tokenizer ?? TrainingInputs.tokenizerPath(in: [recipe.trainedOn, recipe.model])
        let loaded = try path.map { try TokenizerLoader.load(path: $0) }
        var configuration = try TrainingInputs.configuration(settings, seed: recipe.seed)
        configuration.shuffle = false
        return try configuration.sources.map { source in
            var single = configuration
            single.sources = [source]
            return try DataReport(
                single, tokenizer: loaded, bosTokenID: config?.bosTokenID.map { Int32($0) }, eosTokenID: config?.eosTokenIDs.first.map { Int32($0) },
                shown: shown, limit: limit)
        }
    }
}
