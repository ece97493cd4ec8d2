import LoRAMEngine

/// Generates over one pipeline: activations go from stage to stage, the last one chooses the tokens and tells the others.
///
/// All stages follow the same `GenerationSchedule`, each with a copy that it brings forward by the tokens alone.
final class GenerationPipeline {
    private static let activationTag = 21
    private static let tokenTag = 22

    private let stage: GenerationStage
    private let pipeline: Communicator
    private let marker: ProgressMarker
    private let waiter: MeasuredWait
    private let received: FloatBuffer
    private let sent: [FloatBuffer]
    private let sends: [Request]
    private let arrival = Request()
    private var sentCount = 0
    /// Tokens under way to each other stage, of each turn that may be pending.
    private var tokenSends: [Request] = []
    private let tokenBuffer: UnsafeMutablePointer<Int64>
    private let tokenCapacity = GenerationStage.rowsTogether
    private let groupLimit: Int
    private var pollFailure: (any Error)?

    /// - Parameter groupLimit: groups of sequences at most.
    init(stage: GenerationStage, pipeline: Communicator, groupLimit: Int, marker: ProgressMarker) {
        self.stage = stage
        self.pipeline = pipeline
        self.marker = marker
        self.groupLimit = groupLimit
        waiter = MeasuredWait(marker: marker)
        let count = GenerationStage.promptChunk * stage.stage.config.hiddenSize
        received = FloatBuffer(count: pipeline.rank > 0 ? count : 0)
        sent = (0..<(pipeline.rank < pipeline.size - 1 ? 2 : 0)).map { _ in FloatBuffer(count: count) }
        sends = sent.map { _ in Request() }
        tokenBuffer = .allocate(capacity: groupLimit * tokenCapacity)
        stage.stage.threadPool.setPoll(
            { Unmanaged<GenerationPipeline>.fromOpaque($0!).takeUnretainedValue().poll() }, context: Unmanaged.passUnretained(self).toOpaque())
    }

    deinit {
        stage.stage.threadPool.setPoll(nil, context: nil)
        tokenBuffer.deallocate()
    }

    private var isLast: Bool { pipeline.rank == pipeline.size - 1 }

    /// All ranks of the pipeline call this with the same prompts and settings.
    ///
    /// - Parameters:
    ///   - choose: on the last stage: the tokens for rows of logits [rows, V] of these sequences, the next of each.
    ///   - take: a sequence's next token, on every rank, in the same order; false: the sequence ends with it.
    /// - Returns: how many tokens of prompts were taken over from others.
    func run(
        _ prompts: [[Int32]], slots: Int, choose: (_ sequences: [Int], _ logits: UnsafePointer<Float>) throws -> [Int32],
        take: (_ sequence: Int, _ token: Int32) -> Bool
    ) throws -> Int {
        var schedule = GenerationSchedule(prompts: prompts, slotCount: slots)
        precondition(schedule.groupCount <= groupLimit)
        var pending: [(turn: GenerationSchedule.Turn, tokens: [Int32])?] = Array(repeating: nil, count: schedule.groupCount)
        var isWorking = true
        while isWorking {
            isWorking = false
            for group in 0..<schedule.groupCount {
                if let (turn, tokens) = pending[group] {
                    let tokens = isLast ? tokens : try receiveTokens(turn.sequences.count)
                    schedule.accept(turn, zip(turn.sequences, tokens).map { take($0, $1) ? $1 : nil })
                    pending[group] = nil
                }
                let turn = schedule.begin(group)
                guard !turn.isEmpty else { continue }
                isWorking = true
                let tokens = try perform(turn, prompts, choose)
                if isLast { try sendTokens(tokens, group) }
                pending[group] = (turn, tokens)
            }
        }
        for request in sends + tokenSends { try waiter.wait(for: request, "waiting to send", microBatch: 0, peer: pipeline.worldRanks[0]) }
        return schedule.reusedCount
    }

    /// The tokens that follow, on the last stage.
    private func perform(
        _ turn: GenerationSchedule.Turn, _ prompts: [[Int32]], _ choose: ([Int], UnsafePointer<Float>) throws -> [Int32]
    ) throws -> [Int32] {
        var tokens: [Int32] = []
        for reading in turn.readings {
            let prompt = prompts[reading.sequence]
            if let source = reading.source { stage.copy(from: source, to: reading.slot, count: reading.first) }
            var rows = 0
            for first in stride(from: reading.first, to: prompt.count, by: GenerationStage.promptChunk) {
                rows = min(GenerationStage.promptChunk, prompt.count - first)
                try pass(rows: rows, "reading a prompt") { stage.read(prompt: prompt, slot: reading.slot, first: first, input: $0, output: $1) }
            }
            if isLast { tokens += try choose([reading.sequence], stage.logits(rows: rows - 1..<rows)) }
        }
        if !turn.rows.isEmpty {
            try pass(rows: turn.rows.count, "generating") { stage.advance(turn.rows, input: $0, output: $1) }
            if isLast { tokens += try choose(Array(turn.sequences.suffix(turn.rows.count)), stage.logits(rows: 0..<turn.rows.count)) }
        }
        return tokens
    }

    /// One pass through this stage, with what comes from the stage before and goes to the next.
    private func pass(
        rows: Int, _ label: StaticString, _ body: (_ input: UnsafePointer<Float>?, _ output: UnsafeMutablePointer<Float>?) -> Void
    ) throws {
        let count = rows * stage.stage.config.hiddenSize, next = sentCount % 2
        if pipeline.rank > 0 {
            try pipeline.receive(into: received.base, count: count, from: pipeline.rank - 1, tag: Self.activationTag, request: arrival)
            try wait(arrival, "waiting for the activation", peer: pipeline.rank - 1)
        }
        if !isLast { try wait(sends[next], "waiting to send the activation", peer: pipeline.rank + 1) }
        marker.mark(label)
        body(pipeline.rank > 0 ? UnsafePointer(received.base) : nil, isLast ? nil : sent[next].base)
        if let pollFailure { throw pollFailure }
        guard !isLast else { return }
        try pipeline.send(UnsafePointer(sent[next].base), count: count, to: pipeline.rank + 1, tag: Self.activationTag, request: sends[next])
        sentCount += 1
    }

    // MARK: - Tokens

    /// A group's buffer is free again: all others have its last tokens, or they could not have come to its next turn.
    private func sendTokens(_ tokens: [Int32], _ group: Int) throws {
        let others = 0..<pipeline.size - 1, buffer = tokenBuffer + group * tokenCapacity
        if tokenSends.isEmpty { tokenSends = (0..<groupLimit * others.count).map { _ in Request() } }
        for other in others {
            let request = tokenSends[group * others.count + other]
            try wait(request, "waiting to send the tokens", peer: other)
        }
        for (index, token) in tokens.enumerated() { buffer[index] = Int64(token) }
        for other in others {
            try pipeline.send(
                UnsafePointer(buffer), count: tokens.count, to: other, tag: Self.tokenTag, request: tokenSends[group * others.count + other])
        }
    }

    private func receiveTokens(_ count: Int) throws -> [Int32] {
        try pipeline.receive(into: tokenBuffer, count: count, from: pipeline.size - 1, tag: Self.tokenTag, request: arrival)
        try wait(arrival, "waiting for the tokens", peer: pipeline.size - 1)
        return (0..<count).map { Int32(tokenBuffer[$0]) }
    }

    private func wait(_ request: Request, _ label: StaticString, peer: Int) throws {
        try waiter.wait(for: request, label, microBatch: 0, peer: pipeline.worldRanks[peer])
    }

    /// Between the tasks of every kernel: lets messages move on.
    private func poll() {
        marker.touch()
        guard pollFailure == nil else { return }
        do {
            for request in sends where request.isActive { try request.test() }
        } catch {
            pollFailure = error
        }
    }
}
