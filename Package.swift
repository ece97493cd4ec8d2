// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "loram-mpi",
    products: [
        .executable(name: "loram-mpi", targets: ["loram-mpi"]),
        .library(name: "LoRAMEngine", targets: ["LoRAMEngine"]),
        .library(name: "LoRAMDist", targets: ["LoRAMDist"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .systemLibrary(name: "CMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev", "openmpi-bin"])]),
        .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CLoRAMKernels"),
        .target(name: "CLoRAMSandbox"),
        .target(
            name: "LoRAMEngine",
            dependencies: [
                "CLoRAMKernels", "CLoRAMSandbox", "COpenBLAS", "CZstd", "CZlib",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Yams", package: "Yams"),
            ],
            exclude: ["Compression/FORMAT.md"]),
        .target(name: "LoRAMDist", dependencies: ["LoRAMEngine", "CMPI"]),
        .executableTarget(
            name: "loram-mpi",
            dependencies: [
                "LoRAMDist", "LoRAMEngine",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .target(name: "TestSupport", dependencies: ["LoRAMEngine"], path: "Tests/TestSupport"),
        .executableTarget(name: "MPIScenarios", dependencies: ["LoRAMDist", "TestSupport"], path: "Tests/MPIScenarios"),
        .testTarget(name: "LoRAMEngineTests", dependencies: ["LoRAMEngine", "TestSupport"], resources: [.copy("Fixtures")]),
        .testTarget(name: "LoRAMDistTests", dependencies: ["LoRAMDist", "TestSupport", "MPIScenarios"]),
        .testTarget(name: "CommandTests", dependencies: ["LoRAMEngine", "TestSupport", "loram-mpi"]),
    ],
    swiftLanguageModes: [.v6]
)
