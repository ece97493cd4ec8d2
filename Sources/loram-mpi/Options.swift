import ArgumentParser
import LoRAMDist
import LoRAMEngine

/// The recipe, as every command takes it.
struct RecipeOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Recipe file (YAML).", valueName: "file"))
    var recipe: String?

    @Option(name: .customLong("set"), help: ArgumentHelp("Override a recipe key, such as optimizer.learning_rate=1e-4; may be given many times.", valueName: "key=value"))
    var overrides: [String] = []

    /// Whether --set names such a key.
    func sets(_ isSuch: (Substring) -> Bool) -> Bool {
        overrides.contains { isSuch($0.prefix { $0 != "=" }) }
    }

    /// Overrides for the flags that were given, behind those of --set. No character of a text is YAML.
    func overrides(texts: [(key: String, value: String?)], numbers: [(key: String, value: (any Numeric)?)] = []) -> [String] {
        overrides + texts.compactMap { key, value in value.map { Recipe.override(key, text: $0) } }
            + numbers.compactMap { key, value in value.map { "\(key)=\($0)" } }
    }
}

extension JSONValue {
    func printLine() { print(serialized()) }
}

/// How a command that saves its state goes on from it.
struct ResumeOptions: ParsableArguments {
    @Flag(name: .customLong("resume"), help: "Go on from the last checkpoint; an error where there is none.")
    var resume = false

    @Flag(name: .customLong("resume-auto"), help: "Go on from the last checkpoint, or from the start. Also written --resume=auto.")
    var resumeAuto = false

    var mode: RunDirectory.Resume { resumeAuto ? .auto : resume ? .required : .never }
}
