internal import CLoRAMKernels

/// What kind of file system a path lies on.
public enum FileSystemKind {
    /// Magic numbers (statfs(2), linux/magic.h and the file systems' own sources) of those whose page cache is no safe home for weights:
    /// other nodes' traffic or a lost lease evicts it.
    private static let remote: Set<Int> = [
        0x6969,  // NFS
        0x517B, 0xFF53_4D42, 0xFE53_4D42,  // SMB, CIFS, SMB2
        0x0BD0_0BD0,  // Lustre
        0x4750_4653,  // GPFS
        0x1983_0326,  // BeeGFS
        0x00C3_6400,  // Ceph
        0x0102_1997,  // 9p
        0x6573_5546,  // FUSE
        0x5346_414F, 0x6B41_4653,  // AFS
        0x7461_636F,  // OCFS2
        0x0116_1970,  // GFS2
    ]

    /// False also where the system does not say.
    public static func isRemote(_ path: String) -> Bool {
        remote.contains(loram_file_system_magic(path))
    }
}
