extension Recipe {
    /// Reads a recipe file (nil: only defaults), applies `--set` overrides in their order, and checks everything that can be
    /// checked without the model and the data: keys, types, ranges, keys that go together, features that exist.
    ///
    /// - Parameter forScoring: for a command that only runs the model: unless the recipe says otherwise it computes in f32, or in bf16 on
    ///   weights that are stored in 4 bit.
    public static func load(file path: String?, overrides: [String] = [], forScoring: Bool = false) throws(RecipeError) -> Recipe {
        let document = try path.map { path throws(RecipeError) in try RecipeNode.parse(file: path) }
        var recipe = try load(document: document, overrides: overrides)
        if forScoring, try !gives("compute", "type", document, overrides) {
            recipe.compute.type = recipe.model.map { Checkpoint.isQuantized($0) } == true ? .bf16 : .f32
        }
        // There is no run to keep.
        if forScoring { (recipe.parallel.coordinator, recipe.evaluation.fullModel) = (.shared, .never) }
        return recipe
    }

    /// Whether a key is there, not left to its default.
    private static func gives(_ section: String, _ key: String, _ document: RecipeNode?, _ overrides: [String]) throws(RecipeError) -> Bool {
        var document = document ?? RecipeNode(.null)
        for override in overrides { try document.apply(override: override) }
        return document[section]?[key].map { $0.content != .null } ?? false
    }

    /// Like `load(file:)`, from text. `name` stands for the file in error messages.
    public static func load(yaml: String, name: String = "recipe", overrides: [String] = []) throws(RecipeError) -> Recipe {
        try load(document: try RecipeNode.parse(yaml: yaml, name: name), overrides: overrides)
    }

    private static func load(document: RecipeNode?, overrides: [String]) throws(RecipeError) -> Recipe {
        var document = document ?? RecipeNode(.null)
        for override in overrides { try document.apply(override: override) }
        var recipe = Recipe()
        try recipe.merge(document, key: "")
        recipe.pruning = recipe.pruning.resolved()
        try recipe.checkTogether()
        try UnsupportedFeatures.check(recipe)
        return recipe
    }

    /// `recipe.resolved.yaml`: every key with its value; the same text for equal recipes, and loading it gives an equal recipe.
    public func resolvedYAML() throws(RecipeError) -> String {
        try recipeNode.yaml()
    }

    /// A `--set` override for a text that came from elsewhere, such as a flag: quoted, so that no character of it is YAML.
    public static func override(_ key: String, text: String) -> String {
        "\(key)=\(RecipeNode.quote(text))"
    }

    /// A `--set` override for a list of one dataset.
    public static func override(_ key: String, dataset path: String, format: String) -> String {
        "\(key)=[{path: \(RecipeNode.quote(path)), format: \(RecipeNode.quote(format))}]"
    }

    /// The model, or the error that names its key.
    public func requiredModel() throws(RecipeError) -> String {
        guard let model else { throw .missing(key: "model", reason: "name a Hugging Face directory or a preset: --set model=DIR") }
        return model
    }

    /// The run directory, or the error that names its key.
    public func requiredOutput() throws(RecipeError) -> String {
        guard let output else { throw .missing(key: "output", reason: "name the run directory: --set output=runs/NAME") }
        return output
    }

    private func checkTogether() throws(RecipeError) {
        for (prefix, batch) in [("", batch), ("alignment.", alignment.batch)] where batch.global % batch.micro != 0 {
            throw .conflict(
                keys: "\(prefix)batch.global and \(prefix)batch.micro", expected: "a multiple of micro",
                found: "\(batch.global) and \(batch.micro)")
        }
        if let stages = parallel.stages.given, parallel.chunks > 1, parallel.pipeline == .interleaved, stages < 2 {
            throw .conflict(keys: "parallel.chunks and parallel.stages", expected: "at least 2 stages to interleave", found: "\(stages)")
        }
        for (index, task) in evaluation.tasks.enumerated() where (try? EvaluationTask.named(task.name)) == nil {
            throw .conflict(keys: "evaluation.tasks.\(index).name", expected: "one of \(EvaluationTask.names)", found: RecipeNode.oneLine(task.name))
        }
    }
}
