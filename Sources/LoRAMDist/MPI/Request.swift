internal import CMPI

/// One non-blocking operation, or none: the handle is made once and used for many operations one after the other, so that a
/// training step allocates none.
///
/// The buffer handed to the operation must stay where it is until the request is complete. A request that is dropped while its
/// operation is under way traps in debug builds: MPI would go on writing into the buffer. Used by the main thread only.
public final class Request {
    /// MPI's handles of the pieces into which a long message is cut.
    private var pieces: UnsafeMutablePointer<MPI_Request?>
    private var pieceCapacity: Int
    private var pieceCount = 0
    /// Pieces of the operation that are complete, in order.
    private(set) var completedCount = 0

    private var call: StaticString = "MPI_Test"
    private var rank = 0
    private var peer: Int?
    private var elementType = MPIElementType.uint8
    /// Elements that the message must have; nil for operations whose length MPI does not report.
    private var expectedCount: Int?
    private var receivedCount = 0

    public init() {
        pieceCapacity = 1
        pieces = .allocate(capacity: pieceCapacity)
    }

    deinit {
        assert(!isActive, "a request was dropped before its operation completed")
        pieces.deallocate()
    }

    /// Grows with every piece that is complete, over all operations.
    private(set) var pieceTotal = 0

    /// An operation is under way.
    public var isActive: Bool { completedCount < pieceCount }

    /// Moves the operation forward without waiting; true when it is complete (also if none was started).
    /// Throws `MPIError` when the operation failed or a message had another length than expected.
    /// After an error the request is inactive.
    @discardableResult
    public func test() throws(MPIError) -> Bool {
        do {
            return try advance()
        } catch {
            abandon()
            throw error
        }
    }

    private func advance() throws(MPIError) -> Bool {
        while isActive {
            var flag: Int32 = 0
            var status = MPI_Status()
            try checkMPI(MPI_Test(pieces + completedCount, &flag, &status), call, rank: rank, peer: peer)
            guard flag != 0 else { return false }
            completedCount += 1
            pieceTotal &+= 1
            if expectedCount != nil {
                var count: Int32 = 0
                try checkMPI(MPI_Get_count(&status, elementType.datatype, &count), "MPI_Get_count", rank: rank, peer: peer)
                receivedCount += Int(count)
            }
        }
        if let expected = expectedCount {
            expectedCount = nil
            guard expected == receivedCount else {
                throw MPIError.countMismatch(expected: expected, found: receivedCount, rank: rank, peer: peer ?? -1)
            }
        }
        return true
    }

    /// Polls until the operation is complete, calling `onIdle` between polls.
    public func wait(onIdle: (() throws -> Void)? = nil) throws {
        try wait(longestPauseMicroseconds: 200, onIdle: onIdle)
    }

    /// As `wait`, sleeping up to the given time between polls: for waits that may last minutes.
    func wait(longestPauseMicroseconds: Int, onIdle: (() throws -> Void)? = nil) throws {
        var pacer = PollPacer(longestPauseMicroseconds: longestPauseMicroseconds)
        while try !test() {
            do { try onIdle?() } catch {
                abandon()
                throw error
            }
            pacer.pause(progress: pieceTotal)
        }
    }

    /// Forgets an operation that will never complete because the job is about to end with an error. Its buffer must not be freed.
    public func abandon() {
        completedCount = pieceCount
        expectedCount = nil
    }

    // MARK: Starting (used by Communicator)

    func begin(_ call: StaticString, pieceCount count: Int, rank: Int, peer: Int? = nil) {
        precondition(!isActive, "a request was started again before its operation completed")
        if count > pieceCapacity {
            pieces.deallocate()
            pieceCapacity = count
            pieces = .allocate(capacity: count)
        }
        self.call = call
        self.rank = rank
        self.peer = peer
        pieceCount = 0
        completedCount = 0
        expectedCount = nil
        receivedCount = 0
    }

    /// The message, all pieces together, must have this many elements.
    func expect(_ count: Int, of type: MPIElementType) {
        expectedCount = count
        elementType = type
    }

    /// `start` starts the next piece into the given handle and returns MPI's code.
    func addPiece(_ start: (UnsafeMutablePointer<MPI_Request?>) -> Int32) throws(MPIError) {
        precondition(pieceCount < pieceCapacity)
        let handle = pieces + pieceCount
        handle.initialize(to: loram_mpi_request_null())
        do {
            try checkMPI(start(handle), call, rank: rank, peer: peer)
        } catch {
            abandon()
            throw error
        }
        pieceCount += 1
    }
}
