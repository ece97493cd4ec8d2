import LoRAMEngine

/// Has the model write the answers of tasks, over the grid, and scores them on rank 0.
struct GeneratedAnswers {
    let job: Job
    let generator: TextGenerator
    let tokenizer: any Tokenizer
    let addsBOS: Bool
    /// Of the model.
    let positionCount: Int
    /// Where programs are run, on rank 0.
    let sandbox: ProgramSandbox?
    let limits: ProgramSandbox.Limits

    /// All ranks call this. nil on all but rank 0.
    func score(_ data: GenerationTaskData) throws -> GenerationScore? {
        switch data {
        case .gsm8k(let data):
            let completions = try write(data.prompts, maxTokens: GSM8KData.maxTokens, Sampling(), stops: GSM8KData.stopStrings, samples: 1)
            return job.world.rank == 0 ? data.score(completions.map(\.text)) : nil
        case .humaneval(let data): return try score(data)
        }
    }

    private func score(_ data: HumanEvalData) throws -> GenerationScore? {
        let settings = data.settings
        let completions = try settings.temperatures.map { temperature in
            let sampling = Sampling(temperature: temperature, topP: settings.topP, seed: settings.seed)
            return try write(
                data.prompts, maxTokens: settings.maxTokens, sampling, stops: HumanEvalData.stopStrings, samples: settings.made(at: temperature))
        }
        var score: GenerationScore?
        if job.world.rank == 0 {
            guard let sandbox else { preconditionFailure("programs without a sandbox") }
            job.marker.mark("running programs")
            let programs = completions.flatMap { $0.map { data.program($0.prompt, $0.text) } }
            var outcomes = try sandbox.run(programs, limits: limits) { job.marker.touch() }[...]
            score = data.score(
                completions.map { completions in
                    completions.map { .init(question: $0.prompt, sample: $0.sample, completion: $0.text, outcome: outcomes.removeFirst()) }
                })
        }
        // Programs take as long as they may.
        try job.waitForOthers()
        return score
    }

    private func write(_ prompts: [String], maxTokens: Int, _ sampling: Sampling, stops: [String], samples: Int) throws -> [Completion] {
        // A model of few positions keeps half of them for the question.
        let room = min(maxTokens, positionCount / 2)
        let ids = prompts.map { prompt in
            var ids = tokenizer.encode(prompt, special: true)
            if addsBOS, let bos = tokenizer.bosTokenID, ids.first != bos { ids.insert(bos, at: 0) }
            return Array(ids.suffix(positionCount - room))
        }
        return try generator.generate(
            ids, GenerationSettings(maxTokens: room, sampling: sampling, stopStrings: stops, sampleCount: samples))
    }
}
