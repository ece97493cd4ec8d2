/// The receiving end of the messages from one neighbour: receives are posted ahead, as many as there are buffers, in the order of
/// the schedule.
final class ReceiveChannel {
    private let communicator: Communicator
    private let source: Int
    private let tag: Int
    /// Micro-batches in the order of their messages.
    private let order: [Int]
    private let buffers: [FloatBuffer]
    private let requests: [Request]
    private let waiter: MeasuredWait
    private let label: StaticString
    private var postedCount = 0
    private var receivedCount = 0
    private var releasedCount = 0

    init(
        communicator: Communicator, source: Int, tag: Int, order: [Int], capacity: Int, waiter: MeasuredWait, label: StaticString
    ) {
        self.communicator = communicator
        self.source = source
        self.tag = tag
        self.order = order
        self.waiter = waiter
        self.label = label
        let count = min(BoundaryBuffers.receiveCount, order.count)
        buffers = (0..<count).map { _ in FloatBuffer(count: capacity) }
        requests = (0..<count).map { _ in Request() }
    }

    /// Before the first message of a step. `boundaryCount`: floats of a micro-batch.
    func begin(_ stage: any PipelineStage) throws {
        postedCount = 0
        receivedCount = 0
        releasedCount = 0
        for _ in buffers { try post(stage) }
    }

    private func post(_ stage: any PipelineStage) throws {
        guard postedCount < order.count else { return }
        let microBatch = order[postedCount]
        let index = postedCount % buffers.count
        let count = stage.boundaryCount(microBatch: microBatch)
        guard count <= buffers[index].count else {
            throw ScheduleError.boundaryTooLarge(microBatch: microBatch, limit: buffers[index].count, found: count)
        }
        try communicator.receive(
            into: buffers[index].base, count: count, from: source, tag: tag, request: requests[index])
        postedCount += 1
    }

    /// Waits for the next message.
    func receive() throws {
        try waiter.wait(
            for: requests[receivedCount % buffers.count], label, microBatch: order[receivedCount],
            peer: communicator.worldRanks[source])
        receivedCount += 1
    }

    /// The oldest message received and not yet released.
    var contents: UnsafePointer<Float> {
        precondition(releasedCount < receivedCount)
        return UnsafePointer(buffers[releasedCount % buffers.count].base)
    }

    /// The oldest message has been read: its buffer takes the next one.
    func release(_ stage: any PipelineStage) throws {
        releasedCount += 1
        try post(stage)
    }

    func poll() throws {
        for request in requests where request.isActive {
            if try !request.test() { return }
        }
    }

    func abandon() {
        for (request, buffer) in zip(requests, buffers) where request.isActive {
            request.abandon()
            buffer.isLeaked = true
        }
    }
}

/// The sending end of the messages to one neighbour: a buffer is filled again only when its last message has left.
final class SendChannel {
    private let communicator: Communicator
    private let destination: Int
    private let tag: Int
    private let buffers: [FloatBuffer]
    private let requests: [Request]
    private let waiter: MeasuredWait
    private let label: StaticString
    private var filledCount = 0
    private var sentCount = 0

    init(
        communicator: Communicator, destination: Int, tag: Int, messageCount: Int, capacity: Int, waiter: MeasuredWait,
        label: StaticString
    ) {
        self.communicator = communicator
        self.destination = destination
        self.tag = tag
        self.waiter = waiter
        self.label = label
        let count = min(BoundaryBuffers.sendCount, messageCount)
        buffers = (0..<count).map { _ in FloatBuffer(count: capacity) }
        requests = (0..<count).map { _ in Request() }
    }

    func begin() {
        filledCount = 0
        sentCount = 0
    }

    /// The buffer for the next message; waits until the message before the last has left.
    func acquire(microBatch: Int, count: Int) throws -> UnsafeMutablePointer<Float> {
        let index = filledCount % buffers.count
        guard count <= buffers[index].count else {
            throw ScheduleError.boundaryTooLarge(microBatch: microBatch, limit: buffers[index].count, found: count)
        }
        try waitForSend(index, microBatch: microBatch)
        filledCount += 1
        return buffers[index].base
    }

    /// Starts to send the oldest message filled and not yet sent.
    func send(count: Int) throws {
        precondition(sentCount < filledCount)
        let index = sentCount % buffers.count
        try communicator.send(
            UnsafePointer(buffers[index].base), count: count, to: destination, tag: tag, request: requests[index])
        sentCount += 1
    }

    /// Waits until all messages have left.
    func drain() throws {
        for index in buffers.indices { try waitForSend(index, microBatch: sentCount - 1) }
    }

    private func waitForSend(_ index: Int, microBatch: Int) throws {
        try waiter.wait(for: requests[index], label, microBatch: microBatch, peer: communicator.worldRanks[destination])
    }

    func poll() throws {
        for request in requests where request.isActive {
            if try !request.test() { return }
        }
    }

    func abandon() {
        for (request, buffer) in zip(requests, buffers) where request.isActive {
            request.abandon()
            buffer.isLeaked = true
        }
    }
}
