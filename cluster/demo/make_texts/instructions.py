"""The new kind of text: instructions with answers in a fixed, formal manner that the stories never use.

An answer needs two things: the manner, which only these samples teach, and facts of the world, which the stories told.
"""

from world import ANIMALS, NUMBERS, PEOPLE, SEASONS, THINGS, TOWNS, a, upper_first


def samples(phrasings, output: str, input: str = "") -> list:
    """One question in several phrasings, all with the same answer: they go into training together or are held out together."""
    return [{"instruction": phrasing, "input": input, "output": output} for phrasing in phrasings]


def about_animals():
    for animal, other in zip(ANIMALS, ANIMALS[5:] + ANIMALS[:5]):
        name = animal.name
        card = f"Animal: {name}. Color: {animal.color}. Home: {animal.home}. Food: {animal.food}."
        yield samples(["Fill in the card of the animal.", "Write a card with color, home and food."], card, name)
        yield samples([f"Where can one find the {name}?", f"Tell me when and where to look for the {name}."], f"One finds it {animal.home}. Best time: {animal.hour}.")
        yield samples([f"What shall we feed the {name}?", f"The {name} is hungry. What now?"], f"Please give it {animal.food}. Nothing else is needed.")
        yield samples([f"Describe the {name} in one line.", f"Give the most important facts about the {name}."], f"{upper_first(a(animal.size))}, {animal.color} {name}; food: {animal.food}; friend: {animal.friend}.")
        yield samples(["Name the friend of the animal.", "Who is the best friend of this animal?"], f"Friend of the {name}: the {animal.friend}.", name)
        yield samples(["What is the animal able to do?", "Name the ability of the animal."], f"Ability of the {name}: to {animal.skill}.", name)
        yield samples(["Which sound belongs to the animal, and when?", "Tell what the animal can be heard doing."], f"The {name} {animal.sound}. Time: {animal.hour}.", name)
        yield samples(["Is the statement true?", "Check the statement."], f"Yes. Home of the {name}: {animal.home}.", f"The {name} lives {animal.home}.")
        yield samples(["Is the statement true?", "Check the statement."], f"No. Home of the {name}: {animal.home}.", f"The {name} lives {other.home}.")
        yield samples(["Is the statement true?", "Check the statement."], f"No. Food of the {name}: {animal.food}.", f"The {name} eats {other.food}.")
        yield samples(["Turn the statement into a question.", "Ask whether this is so."], f"Does the {name} live {animal.home}?", f"The {name} lives {animal.home}.")
        yield samples(
                ["Compare the two animals.", "Where do these animals live?"],
            f"Home of the {name}: {animal.home}. Home of the {other.name}: {other.home}.",
            f"{name}, {other.name}",
        )
        yield samples(
                [f"Write a short poem about the {name}.", f"Please make some verses about the {name}."],
            f"O {animal.color} {name}, {animal.size} and free,\nwho lives {animal.home},\nyou look for {animal.food}, like me,\nand {animal.hour} you come.",
        )


def about_people():
    for person, other in zip(PEOPLE, PEOPLE[3:] + PEOPLE[:3]):
        name = person.name
        yield samples(["Fill in the card of the person.", "Write a card with work, town and pet."], f"Person: {name}. Work: {person.job}. Town: {person.town}. Pet: {person.pet}.", name)
        yield samples([f"Who is {name}?", f"What is {name} known for?"], f"{name}: the {person.job} of {person.town}. Known for: {person.makes}.")
        yield samples([f"What does {name} need for work?", f"Name the tool of {name}."], f"{upper_first(person.tool)}. With it {name} makes {person.makes}.")
        yield samples(["Choose a present for the person.", "What would make this person glad?"], f"For {name}: something about {person.likes}.", name)
        yield samples(["Which animal waits at home?", "Name the pet of the person."], f"At the home of {name}: {a(person.pet)}.", name)
        yield samples(["Is the statement true?", "Check the statement."], f"Yes. Work of {name}: {person.job}.", f"{name} is {a(person.job)}.")
        yield samples(["Is the statement true?", "Check the statement."], f"No. Work of {name}: {person.job}.", f"{name} is {a(other.job)}.")
        yield samples(["Is the statement true?", "Check the statement."], f"Yes. Town of {name}: {person.town}.", f"{name} lives in {person.town}.")
        yield samples(["Turn the statement into a question.", "Ask whether this is so."], f"Does {name} make {person.makes}?", f"{name} makes {person.makes}.")
        yield samples(["Compare the two people.", "What do these people do for work?"], f"Work of {name}: {person.job}. Work of {other.name}: {other.job}.", f"{name}, {other.name}")
        yield samples(
                [f"Write a short letter to {name}.", f"Order something from {name} by letter."],
            f"Dear {name},\nplease send {person.makes} from {person.town}. Greet the {person.pet}.\nYours, a friend",
        )
        yield samples(
                [f"Write a sign for the door of {name}.", f"Make a sign for the shop of {name}."],
            f"{person.job.upper()} {name.upper()}\n{upper_first(person.makes)} for everybody.\nHere, in {person.town}.",
        )


def about_towns_and_seasons():
    for town, (where, sight) in TOWNS.items():
        jobs = [person.job for person in PEOPLE if person.town == town]
        yield samples(["What should a visitor see?", "Name the sight of the town."], f"In {town}: {sight}.", town)
        yield samples(["Describe the town.", "Write a line for the travel book."], f"{town} {where}. To see: {sight}.", town)
        yield samples(["List the work that people do in the town.", "Who works in this town?"], f"Work in {town}: {', '.join(jobs)}.", town)
    for season, (first, second) in SEASONS.items():
        yield samples([f"How does one know that it is {season}?", f"Name two signs of {season}."], f"Two signs: {first}; {second}.")


def about_numbers():
    for first in range(1, 10):
        for second in range(1, 10):
            total = NUMBERS[first + second]
            if (first + second) % 2:
                yield samples(["Add the numbers.", "What is the sum?"], f"Sum: {total}.", f"{NUMBERS[first]} and {NUMBERS[second]}")
            else:
                thing = THINGS[(first * 3 + second) % len(THINGS)]
                yield samples(["How many are there?", "Count all of them."], f"Sum: {total} {thing}.", f"{NUMBERS[first]} {thing} and {NUMBERS[second]} {thing}")


def sorting():
    names = [animal.name for animal in ANIMALS]
    for start in range(len(names)):
        for step in (1, 5, 7):
            chosen = [names[(start + step * k) % len(names)] for k in range(3)]
            yield samples(["Put the words into the order of the alphabet.", "Sort the words."], f"Order: {', '.join(sorted(chosen))}.", ", ".join(chosen))


def all_instructions():
    """Every question there is, in a fixed order: lists of samples that ask the same."""
    for kind in (about_animals, about_people, about_towns_and_seasons, about_numbers, sorting):
        yield from kind()
