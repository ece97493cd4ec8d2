internal import CMPI

/// The element types that messages are made of.
public protocol MPIElement: BitwiseCopyable, Sendable {
    static var elementType: MPIElementType { get }
    static var zero: Self { get }
}

public enum MPIElementType: Sendable {
    case float, double, uint8, int64

    var datatype: MPI_Datatype {
        switch self {
        case .float: loram_mpi_float()
        case .double: loram_mpi_double()
        case .uint8: loram_mpi_uint8()
        case .int64: loram_mpi_int64()
        }
    }
}

extension Float: MPIElement {
    public static var elementType: MPIElementType { .float }
}

extension Double: MPIElement {
    public static var elementType: MPIElementType { .double }
}

extension UInt8: MPIElement {
    public static var elementType: MPIElementType { .uint8 }
}

extension Int64: MPIElement {
    public static var elementType: MPIElementType { .int64 }
}

/// How all-reduce combines elements.
public enum ReductionOperation: Sendable {
    case sum, max

    var operation: MPI_Op {
        switch self {
        case .sum: loram_mpi_sum()
        case .max: loram_mpi_max()
        }
    }
}
