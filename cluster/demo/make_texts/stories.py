"""The base text: short stories and descriptions, told in plain sentences."""

from world import ANIMALS, NUMBERS, PEOPLE, SEASONS, THINGS, TOWNS, Dice, a, upper_first


def about_an_animal(dice: Dice) -> str:
    animal = dice.pick(ANIMALS)
    name = animal.name
    openings = [
        f"The {name} is {a(animal.size)} {animal.color} animal.",
        f"Have you ever seen the {name}? It is {animal.size} and {animal.color}.",
        f"Near the village there is a {animal.size}, {animal.color} {name}.",
    ]
    facts = [
        dice.pick([f"It lives {animal.home}.", f"Its home is {animal.home}."]),
        dice.pick([f"It eats {animal.food}.", f"It likes to eat {animal.food} more than anything else.", f"Every day it looks for {animal.food}."]),
        dice.pick([f"{upper_first(animal.hour)} it {animal.sound}.", f"It {animal.sound} {animal.hour}."]),
        dice.pick([f"The {name} can {animal.skill}.", f"Nobody else can {animal.skill} like the {name}."]),
        dice.pick([f"Its best friend is the {animal.friend}.", f"The {animal.friend} is its friend."]),
    ]
    endings = [
        f"The children are glad when they see the {name}.",
        f"When it is tired, the {name} goes home and sleeps.",
        f"That is how the {name} spends its days.",
    ]
    return " ".join([dice.pick(openings)] + dice.some(facts, 3 + dice.below(3)) + [dice.pick(endings)])


def about_a_person(dice: Dice) -> str:
    person = dice.pick(PEOPLE)
    he, his = upper_first(person.he), person.his
    where, sight = TOWNS[person.town]
    openings = [
        f"{person.name} is {a(person.job)} from {person.town}.",
        f"In {person.town} there lives {a(person.job)} whose name is {person.name}.",
        f"Everybody in {person.town} knows {person.name}, the {person.job}.",
    ]
    facts = [
        dice.pick([f"{he} makes the best {person.makes} in town.", f"All day long {person.he} works and makes {person.makes}."]),
        dice.pick([f"For {his} work {person.he} needs {person.tool}.", f"{he} never goes anywhere without {person.tool}."]),
        dice.pick([f"What {person.he} likes most is {person.likes}.", f"{he} loves {person.likes}."]),
        dice.pick([f"At home {a(person.pet)} is waiting for {person.him}.", f"{upper_first(his)} {person.pet} sleeps beside the stove."]),
        dice.pick([f"{person.town} {where}.", f"From the window {person.he} can see {sight}."]),
    ]
    endings = [
        f"On Sundays {person.he} rests.",
        f"People say that nobody is kinder than {person.name}.",
        f"{person.name} would not live anywhere else.",
    ]
    return " ".join([dice.pick(openings)] + dice.some(facts, 3 + dice.below(3)) + [dice.pick(endings)])


def meeting(dice: Dice) -> str:
    person, animal = dice.pick(PEOPLE), dice.pick(ANIMALS)
    he, his = person.he, person.his
    start = dice.pick(
        [
            f"One day {person.name} the {person.job} left {person.town} and took a walk.",
            f"It was a quiet morning, and {person.name} from {person.town} was carrying {person.makes} to a friend.",
            f"Once {person.name}, {a(person.job)}, lost {person.tool} on the way home.",
        ]
    )
    middle = dice.pick(
        [
            f"{upper_first(animal.home)} {he} met the {animal.name}. \"What are you doing here?\" asked {person.name}. \"I am looking for {animal.food},\" said the {animal.name}.",
            f"Suddenly the {animal.name} stood before {person.him}. \"I live {animal.home},\" it said, \"and I am hungry. Do you have any {animal.food}?\"",
            f"There was a strange noise {animal.home}. It was only the {animal.name}, which {animal.sound} {animal.hour}.",
        ]
    )
    turn = dice.pick(
        [
            f"So {person.name} gave it some {animal.food}, and the {animal.name} was happy.",
            f"{person.name} laughed and shared {his} lunch with the {animal.color} {animal.name}.",
            f"\"I can {animal.skill},\" said the {animal.name}. \"Let me help you.\" {person.name} thanked it.",
            f"Then the {animal.friend} came too, and the three of them sat down together.",
        ]
    )
    end = dice.pick(
        [
            f"In the evening {he} told the story to {his} {person.pet}.",
            f"Since then they have been friends.",
            f"When {he} came home to {person.town}, {he} thought of {person.likes} and smiled.",
            f"And that was the best day of the year.",
        ]
    )
    return " ".join([start, middle, turn, end])


def counting(dice: Dice) -> str:
    person, other = dice.some(PEOPLE, 2)
    thing, first, second = dice.pick(THINGS), 1 + dice.below(9), 1 + dice.below(9)
    total = NUMBERS[first + second]
    first, second = NUMBERS[first], NUMBERS[second]
    return dice.pick(
        [
            f"{person.name} had {first} {thing}. {other.name} the {other.job} gave {person.him} {second} more. Now {person.name} had {total} {thing}.",
            f"On the market of {person.town} {person.name} bought {first} {thing} and {other.name} bought {second}. Together they carried {total} {thing} home.",
            f"\"I have {first} {thing},\" said {person.name}. \"And I have {second},\" said {other.name}. They counted them all and found {total}.",
        ]
    )


def season(dice: Dice) -> str:
    name = dice.pick(list(SEASONS))
    first, second = SEASONS[name]
    person, animal = dice.pick(PEOPLE), dice.pick(ANIMALS)
    where, sight = TOWNS[person.town]
    return " ".join(
        [
            dice.pick([f"In {name} {first}.", f"When {name} comes, {first} and {second}."]),
            dice.pick([f"{person.town} {where}, and in {name} {second}.", f"Then everybody in {person.town} visits {sight}."]),
            dice.pick([f"{person.name} the {person.job} makes {person.makes} and thinks of {person.likes}.", f"{person.name} stays at home with {person.his} {person.pet}."]),
            dice.pick([f"The {animal.name} {animal.sound} {animal.hour}.", f"The {animal.name} finds its {animal.food} {animal.home}."]),
        ]
    )


KINDS = [about_an_animal, about_an_animal, about_a_person, about_a_person, meeting, meeting, meeting, counting, season]


def story(dice: Dice) -> str:
    """A document of two or three pieces, so that one window holds different things."""
    return "\n".join(dice.pick(KINDS)(dice) for _ in range(2 + dice.below(2)))
