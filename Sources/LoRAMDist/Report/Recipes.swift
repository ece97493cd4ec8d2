import ArgumentParser
import Foundation
import LoRAMEngine

struct Recipes: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the shipped recipes, or print one.",
        discussion: """
              loram-mpi recipes
              loram-mpi recipes llama-2-70b-qloram > recipe.yaml
            """)

    @Argument(help: "Name of a recipe; without it all are listed.") var name: String?

    func run() throws {
        if let name { return print(try ShippedRecipes.text(name), terminator: "") }
        for recipe in try ShippedRecipes.list() { print("\(recipe.name.padding(toLength: 26, withPad: " ", startingAt: 0))\(recipe.summary)") }
    }
}
