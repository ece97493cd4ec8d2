import Foundation

/// The recipes that come with the program: files in cluster/recipes of the source tree, or in share/loram-mpi/recipes beside an installed
/// program.
public enum ShippedRecipes {
    /// Names, and the first line of each.
    ///
    /// - Throws: `RecipeError.missing`, `FileError`.
    public static func list() throws -> [(name: String, summary: String)] {
        let folder = try directory()
        return try FilePath.names(inDirectory: folder).filter { $0.hasSuffix(".yaml") }.sorted().map { file in
            let first = String(decoding: try FileSystem.read("\(folder)/\(file)"), as: UTF8.self).split(separator: "\n").first ?? ""
            return (String(file.dropLast(5)), first.drop { $0 == "#" || $0 == " " }.description)
        }
    }

    /// - Throws: `RecipeError.unreadable` for an unknown name, with those that there are; `FileError`.
    public static func text(_ name: String) throws -> String {
        let known = try list().map(\.name)
        guard known.contains(name) else {
            throw RecipeError.unreadable(reason: "expected one of \(known.joined(separator: ", ")), found \(RecipeNode.oneLine(name))")
        }
        return String(decoding: try FileSystem.read("\(try directory())/\(name).yaml"), as: UTF8.self)
    }

    private static func directory() throws -> String {
        let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        var folder = FilePath.parent(program)
        while folder != "/", !folder.isEmpty, folder != "." {
            for candidate in ["\(folder)/share/loram-mpi/recipes", "\(folder)/cluster/recipes"] where FilePath.isDirectory(candidate) { return candidate }
            let parent = FilePath.parent(folder)
            if parent == folder { break }
            folder = parent
        }
        throw RecipeError.unreadable(reason: "no recipes beside \(program): expected share/loram-mpi/recipes or cluster/recipes above it")
    }
}
