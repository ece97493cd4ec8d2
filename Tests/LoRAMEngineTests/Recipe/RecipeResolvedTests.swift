import LoRAMEngine
import Testing

@Suite struct RecipeResolvedTests {
    static let recipes = [
        "", "model: 'a: b # c'\noutput: \"true\"", "lora: {targets: [lm_head]}\noptimizer: {clip_norm: null, learning_rate: 5e-05, eps: 1e-300}",
        "data: {train: [{path: \"tab\\there \\\"quoted\\\" \\u00e9 \\u2028\"}, {path: '12'}], evaluation: [{name: 'null', path: '~'}]}",
        "parallel: {stages: 4, threads: 2}\nsynthetic_seed: 0\nalignment: {frozen: []}",
    ]

    @Test(arguments: recipes)
    func resolvedRecipeReadsBackAsItself(yaml: String) throws {
        let recipe = try Recipe.load(yaml: yaml)
        let text = try recipe.resolvedYAML()
        #expect(try Recipe.load(yaml: text, name: "resolved") == recipe)
        #expect(try Recipe.load(yaml: text).resolvedYAML() == text)
        #expect(try Recipe.load(yaml: text).contentHash() == recipe.contentHash())
    }

    @Test func resolvedRecipeNamesEveryKey() throws {
        let text = try Recipe.load(file: nil).resolvedYAML()
        for path in Recipe.keyPaths("") {
            let name = path.split(separator: ".").last!
            #expect(text.contains("\(name):"), "\(path)")
        }
        #expect(text.contains("keep_first: 4"))
    }

    /// Other YAML readers take a number without a point for a text.
    @Test func numbersHaveAPoint() throws {
        #expect(try Recipe.load(yaml: "optimizer: {eps: 1e-8}").resolvedYAML().contains("eps: 1.0e-08"))
    }

    @Test func contentHashSeesEveryKey() throws {
        let base = try Recipe.load(file: nil)
        #expect(try base.contentHash() == Recipe.load(yaml: "lora: {rank: 8}").contentHash())
        for override in ["watchdog_seconds=601", "parallel.threads=3", "output=x", "lora.rank=9", "data.train=[{path: a}]"] {
            #expect(try Recipe.load(file: nil, overrides: [override]).contentHash() != base.contentHash(), "\(override)")
        }
    }

    @Test(arguments: [
        "output=elsewhere", "parallel.stages=4", "parallel.replicas=2", "parallel.threads=7", "parallel.pipeline=gpipe",
        "parallel.recompute_ahead=false", "checkpoint.every=7", "checkpoint.keep=9", "watchdog_seconds=5", "evaluation.every=3",
        "data.evaluation=[{name: a, path: b}]", "on_nonfinite=skip", "recovery.fill=normal",
    ])
    func anotherGridOrCadenceMayResume(override: String) throws {
        let before = try Recipe.load(file: nil).fingerprint(of: .train)
        let now = try Recipe.load(file: nil, overrides: [override]).fingerprint(of: .train)
        #expect(now == before)
        try now.requireSame(as: before)
    }

    @Test(arguments: [
        ("optimizer.learning_rate=0.002", "optimizer.learning_rate", "0.001", "0.002"), ("lora.rank=4", "lora.rank", "8", "4"),
        ("seed=1", "seed", "42", "1"), ("batch.micro=2", "batch.micro", "4", "2"), ("parallel.groups=4", "parallel.groups", "8", "4"),
        ("parallel.reduction=fast", "parallel.reduction", "reproducible", "fast"), ("model=m", "model", "null", "m"),
        ("lora.targets=[q_proj]", "lora.targets", "auto", "[q_proj]"),
        ("data.train=[{path: a}]", "data.train", "[]", "[{path: a, weight: 1.0, format: auto}]"),
    ])
    func whatChangesResultsMayNot(override: String, key: String, was: String, now: String) throws {
        let before = try Recipe.load(file: nil).fingerprint(of: .train)
        let after = try Recipe.load(file: nil, overrides: [override]).fingerprint(of: .train)
        #expect(after.hash != before.hash)
        #expect(throws: RecipeError.differs(key: key, before: was, now: now, others: 0)) { try after.requireSame(as: before) }
    }

    @Test func alignmentDoesNotDependOnTheAdaptersKeys() throws {
        let base = try Recipe.load(file: nil)
        let other = try Recipe.load(file: nil, overrides: ["lora.rank=4", "batch.global=8", "optimizer.learning_rate=1", "schedule.steps=3"])
        #expect(other.fingerprint(of: .align) == base.fingerprint(of: .align))
        let aligned = try Recipe.load(file: nil, overrides: ["alignment.schedule.steps=3"])
        #expect(aligned.fingerprint(of: .align) != base.fingerprint(of: .align))
        #expect(aligned.fingerprint(of: .train) != base.fingerprint(of: .train))
    }

    @Test func severalDifferencesNameTheFirstAndCountTheRest() throws {
        let before = RecipeFingerprint(entries: ["a": "1", "b": "2", "c": "3"])
        let now = RecipeFingerprint(entries: ["b": "2", "c": "4", "d": "5"])
        #expect(throws: RecipeError.differs(key: "a", before: "1", now: "not set", others: 2)) { try now.requireSame(as: before) }
    }

    @Test func targetsOfATiedModelLeaveTheHeadOut() throws {
        let auto = try Recipe.load(file: nil).lora
        #expect(auto.config(tied: false).targets == LinearSite.allCases)
        #expect(auto.config(tied: true).targets == LinearSite.inLayer)
        #expect(auto.resolvedTargets(tied: true).droppedHead)
        let given = try Recipe.load(yaml: "lora: {targets: [lm_head, q_proj]}").lora
        #expect(given.resolvedTargets(tied: true).targets == [.q, .lmHead])
        #expect(!given.resolvedTargets(tied: true).droppedHead)
    }
}
