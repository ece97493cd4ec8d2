import LoRAMEngine
import TestSupport
import Testing

/// Recipes that are wrong as YAML, or made to do harm.
@Suite struct RecipeHostileTests {
    @Test(arguments: [
        "lora: {rank: 8", "a: b: c", "\"unterminated", "seed: 1\n\tlora: 2", "%YAML 9.9\n---\nseed: 1", "seed: *missing", "--- 1\n--- 2",
        "seed: 1\nseed: 2", "lora: {rank: 1, rank: 2}", "? {a: b}\n: 1", "? [1]\n: 2", "\u{1}", "seed: !!binary x", "&a [*a]",
        "<<: {seed: 1}", "? seed", "lora: &l {rank: *l}",
    ])
    func oneClearLine(yaml: String) {
        #expect {
            try Recipe.load(yaml: yaml, name: "r.yaml")
        } throws: { error in
            guard let error = error as? RecipeError else { return false }
            return error.description.contains("r.yaml") && !error.description.contains("\n")
        }
    }

    @Test func deepNestingIsRefused() {
        for depth in [100, 5000] {
            let yaml = "seed: " + String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
            #expect(throws: RecipeError.self) { try Recipe.load(yaml: yaml) }
        }
    }

    /// Ten levels of ten aliases each: 10^10 values from a few hundred bytes.
    @Test func aliasBombsAreRefused() {
        var yaml = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        for level in 1...10 {
            let aliases = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            yaml += "a\(level): &a\(level) [\(aliases)]\n"
        }
        #expect {
            try Recipe.load(yaml: yaml)
        } throws: { error in
            if case .syntax(_, let problem)? = error as? RecipeError { problem.contains("values") } else { false }
        }
    }

    @Test func anchorsWorkAsPeopleUseThem() throws {
        let recipe = try Recipe.load(yaml: "batch: &b {global: 8, micro: 2}\nalignment: {batch: *b}")
        #expect(recipe.batch == recipe.alignment.batch && recipe.batch.micro == 2)
    }

    @Test func controlCharactersDoNotReachTheTerminal() {
        #expect {
            try Recipe.load(yaml: "\"evil\\e[2J\\nline\": 1")
        } throws: { error in
            let text = (error as? RecipeError)?.description ?? ""
            return text.contains("unknown key") && text.unicodeScalars.allSatisfy { $0.value >= 0x20 }
        }
    }

    @Test func aFileThatIsNoText() throws {
        let directory = try TemporaryDirectory()
        try OutputFile.write([0xff, 0xfe, 0x00, 0x80], to: directory.path("r.yaml"))
        #expect { try Recipe.load(file: directory.path("r.yaml")) } throws: { "\($0)".contains("UTF-8") }
        try OutputFile.write([UInt8](repeating: UInt8(ascii: "#"), count: 5 << 20), to: directory.path("large.yaml"))
        #expect(throws: RecipeError.self) { try Recipe.load(file: directory.path("large.yaml")) }
    }

    /// Every truncation and a few mutations of a valid recipe either load or fail with one of our errors.
    @Test func fuzz() {
        let yaml = """
            model: "x"
            lora: {rank: 8, targets: [q_proj, v_proj]}
            data:
              train: [{path: a, weight: 1.0}]
            parallel: {stages: auto}
            """
        let bytes = Array(yaml.utf8)
        var random = SequentialRandom(CounterRandom(seed: 1, name: "fuzz"))
        for length in 0...bytes.count { check(Array(bytes[..<length])) }
        for _ in 0..<500 {
            var mutated = bytes
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                mutated[Int.random(in: 0..<mutated.count, using: &random)] = UInt8.random(in: 1...126, using: &random)
            }
            check(mutated)
        }

        func check(_ bytes: [UInt8]) {
            do {
                _ = try Recipe.load(yaml: String(decoding: bytes, as: UTF8.self))
            } catch {
                #expect(!error.description.contains("\n"))
            }
        }
    }
}
