import LoRAMDist
import Testing

struct ScheduleTests {
    @Test func oneForwardOneBackwardInText() {
        let schedule = Schedule.training(.oneForwardOneBackward, stages: 2, microBatchCount: 3)
        #expect(
            schedule.text == """
                0F0 0SEND_F0 0F1 0SEND_F1 0RECV_B0 0B0 0F2 0SEND_F2 0RECV_B1 0B1 0RECV_B2 0B2
                1RECV_F0 1F0 1B0 1SEND_B0 1RECV_F1 1F1 1B1 1SEND_B1 1RECV_F2 1F2 1B2 1SEND_B2
                """)
    }

    @Test func recomputationGoesBeforeTheWait() {
        let schedule = Schedule.training(.oneForwardOneBackward, stages: 2, microBatchCount: 2, recomputeAhead: true)
        #expect(
            schedule.text == """
                0F0 0SEND_F0 0F1 0SEND_F1 0R0 0RECV_B0 0B0 0R1 0RECV_B1 0B1
                1RECV_F0 1F0 1B0 1SEND_B0 1RECV_F1 1F1 1B1 1SEND_B1
                """)
    }

    @Test func gpipeInText() {
        #expect(
            Schedule.training(.gpipe, stages: 2, microBatchCount: 2).text == """
                0F0 0SEND_F0 0F1 0SEND_F1 0RECV_B0 0B0 0RECV_B1 0B1
                1RECV_F0 1F0 1RECV_F1 1F1 1B0 1SEND_B0 1B1 1SEND_B1
                """)
    }

    @Test func forwardOnlyInText() {
        let schedule = Schedule.forwardOnly(stages: 3, microBatchCount: 2)
        #expect(
            schedule.text == """
                0F0 0SEND_F0 0F1 0SEND_F1
                1RECV_F0 1F0 1SEND_F0 1RECV_F1 1F1 1SEND_F1
                2RECV_F0 2F0 2RECV_F1 2F1
                """)
        #expect((0..<3).map { schedule.slotCount(stage: $0) } == [1, 1, 1])
    }

    @Test func aSingleStageSendsNothing() {
        #expect(
            Schedule.training(.oneForwardOneBackward, stages: 1, microBatchCount: 2, recomputeAhead: true).text
                == "0F0 0B0 0F1 0B1")
    }

    /// The last stage puts off the first weight gradient and makes each one behind the next backward pass.
    @Test func zeroBubbleInText() {
        #expect(
            Schedule.training(.zeroBubble, stages: 2, microBatchCount: 3).text == """
                0F0 0SEND_F0 0F1 0SEND_F1 0RECV_B0 0B0 0F2 0SEND_F2 0RECV_B1 0B1 0RECV_B2 0B2
                1RECV_F0 1F0 1B0 1SEND_B0 1RECV_F1 1F1 1B1 1SEND_B1 1W0 1RECV_F2 1F2 1B2 1SEND_B2 1W1 1W2
                """)
        // A group's gradients are complete before the next group's begin.
        #expect(
            Schedule.training(.zeroBubble, stages: 2, microBatchCount: 2, groupSize: 1).text == """
                0F0 0SEND_F0 0F1 0SEND_F1 0RECV_B0 0B0 0RECV_B1 0B1
                1RECV_F0 1F0 1B0 1SEND_B0 1RECV_F1 1F1 1W0 1B1 1SEND_B1
                """)
    }

    @Test func namesOfTheRecipe() {
        #expect(Schedule.Kind(rawValue: "1f1b") == .oneForwardOneBackward)
        #expect(Schedule.Kind(rawValue: "gpipe") == .gpipe)
        #expect(Schedule.Kind(rawValue: "zb-h1") == .zeroBubble)
    }
}
