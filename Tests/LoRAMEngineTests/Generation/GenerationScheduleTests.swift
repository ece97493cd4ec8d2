import LoRAMEngine
import TestSupport
import Testing

@Suite struct GenerationScheduleTests {
    /// Sequences of all lengths through few slots: each is read once, advanced as often as it has tokens, at the next position.
    @Test(arguments: [(1, 1), (5, 2), (16, 16), (40, 16)]) func everySequenceRunsItsCourse(_ slots: Int, _ groupSize: Int) {
        var random = LinearCongruentialGenerator(seed: UInt64(slots))
        let chunk = GenerationStage.promptChunk
        let prompts = (0..<57).map { index in (0..<1 + random.below(3 * chunk)).map { _ in Int32(index % 3) } }
        let lengths = prompts.map { _ in 1 + random.below(9) }
        var schedule = GenerationSchedule(prompts: prompts, slotCount: slots, groupSize: groupSize)
        var made = prompts.map { _ in 0 }, owner: [Int: Int] = [:], inCache: [Int: [Int32]] = [:], reused = 0
        var isWorking = true
        while isWorking {
            isWorking = false
            for group in 0..<schedule.groupCount {
                let turn = schedule.begin(group)
                guard !turn.isEmpty else { continue }
                isWorking = true
                #expect(turn.sequences.count <= groupSize && Set(turn.sequences).count == turn.sequences.count)
                for (reading, sequence) in zip(turn.readings, turn.sequences) {
                    #expect(reading.sequence == sequence && owner[reading.slot] == nil && made[sequence] == 0 && reading.slot / groupSize == group)
                    #expect(reading.first % chunk == 0 && reading.first < prompts[sequence].count)
                    // What is taken over is what would have been computed.
                    let source = inCache[reading.source ?? reading.slot] ?? []
                    #expect(source.prefix(reading.first) == prompts[sequence].prefix(reading.first))
                    reused += reading.first
                    owner[reading.slot] = sequence
                    inCache[reading.slot] = prompts[sequence]
                }
                for (row, sequence) in zip(turn.rows, turn.sequences.dropFirst(turn.readings.count)) {
                    #expect(owner[row.slot] == sequence && row.tokenID == Int32(1000 + made[sequence]))
                    #expect(row.position == prompts[sequence].count + made[sequence] - 1)
                }
                schedule.accept(turn, turn.sequences.map { sequence in
                    made[sequence] += 1
                    return made[sequence] == lengths[sequence] ? nil : Int32(1000 + made[sequence])
                })
                for (slot, sequence) in owner where made[sequence] == lengths[sequence] { owner[slot] = nil }
            }
        }
        #expect(made == lengths)
        #expect(schedule.reusedCount == reused && (slots == 1 || reused > 0))
    }

    /// Samples of one prompt, and prompts with the same examples, compute their common beginning once.
    @Test func commonBeginningsAreTakenOver() {
        let chunk = GenerationStage.promptChunk, start = [Int32](repeating: 5, count: 2 * chunk + 7)
        var schedule = GenerationSchedule(prompts: [start + [1], start + [2], [9], start], slotCount: 4)
        let turn = schedule.begin(0)
        #expect(turn.readings.map(\.first) == [0, 2 * chunk, 0, 2 * chunk])
        #expect(turn.readings.map(\.source) == [nil, 0, nil, 0])
        schedule.accept(turn, [nil, nil, nil, nil])
        #expect(schedule.begin(0).isEmpty)
        // In place, and never the last token, whose logits are wanted.
        var again = GenerationSchedule(prompts: [Array(start.prefix(chunk)), Array(start.prefix(chunk)), start], slotCount: 1)
        for first in [0, 0, chunk] {
            let turn = again.begin(0)
            #expect(turn.readings.map(\.first) == [first] && turn.readings[0].source == nil)
            again.accept(turn, [nil])
        }
    }
}
