internal import CMPI

/// The one check at every MPI call: returns on MPI_SUCCESS, otherwise throws what the library says about the code.
///
/// `rank` and `peer` are ranks of the job; `peer` is the other side of a point-to-point call.
func checkMPI(_ code: Int32, _ call: StaticString, rank: Int, peer: Int? = nil) throws(MPIError) {
    guard code != MPI_SUCCESS else { return }
    throw MPIError.callFailed(call: "\(call)", message: errorString(code), rank: rank, peer: peer)
}

private func errorString(_ code: Int32) -> String {
    var length: Int32 = 0
    let capacity = Int(loram_mpi_max_error_string()) + 1
    let text = [CChar](unsafeUninitializedCapacity: capacity) { buffer, count in
        guard MPI_Error_string(code, buffer.baseAddress, &length) == MPI_SUCCESS else {
            count = 0
            return
        }
        count = min(Int(length), capacity)
    }
    guard !text.isEmpty else { return "error code \(code)" }
    return String(decoding: text.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
