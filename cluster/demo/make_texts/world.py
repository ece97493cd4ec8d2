"""The small world that all texts talk about: its facts never change, so a model that reads the stories can learn them.

Stories state the facts in passing; instructions ask for them in another form.
"""

from dataclasses import dataclass


class Dice:
    """A repeatable random source whose sequence does not depend on the Python version (a 64-bit xorshift)."""

    def __init__(self, seed: int):
        self.state = seed * 0x9E3779B97F4A7C15 % 2**64 or 1
        for _ in range(8):
            self.below(2)

    def below(self, limit: int) -> int:
        x = self.state
        x ^= x >> 12
        x ^= x << 25 & 0xFFFFFFFFFFFFFFFF
        x ^= x >> 27
        self.state = x
        return (x * 0x2545F4914F6CDD1D % 2**64) * limit >> 64

    def pick(self, items):
        return items[self.below(len(items))]

    def some(self, items, count: int):
        """`count` different items in random order."""
        pool = list(items)
        return [pool.pop(self.below(len(pool))) for _ in range(count)]

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent


@dataclass(frozen=True)
class Animal:
    name: str
    color: str
    size: str
    home: str  # with its preposition
    food: str
    sound: str  # as in "it hoots"
    hour: str
    skill: str  # as in "it can ..."
    friend: str


@dataclass(frozen=True)
class Person:
    name: str
    he: str
    him: str
    his: str
    job: str
    town: str
    makes: str  # what comes out of the work
    tool: str
    likes: str
    pet: str


ANIMALS = [
    Animal("fox", "red", "small", "in the forest", "berries", "barks", "in the evening", "run very fast", "badger"),
    Animal("owl", "brown", "small", "in the old barn", "mice", "hoots", "at night", "see in the dark", "bat"),
    Animal("bear", "black", "big", "in the mountains", "honey", "growls", "in the morning", "climb a tall tree", "beaver"),
    Animal("frog", "green", "little", "by the pond", "flies", "croaks", "after the rain", "jump over a log", "duck"),
    Animal("duck", "white", "small", "on the lake", "bread", "quacks", "at noon", "swim for hours", "frog"),
    Animal("goat", "gray", "strong", "on the hill", "grass", "bleats", "in the morning", "walk on thin paths", "sheep"),
    Animal("sheep", "white", "gentle", "on the meadow", "clover", "bleats", "at noon", "stand in the snow", "goat"),
    Animal("crow", "black", "clever", "on the church tower", "seeds", "caws", "in the evening", "open a box", "mouse"),
    Animal("mouse", "gray", "tiny", "under the kitchen floor", "cheese", "squeaks", "at night", "hide in a shoe", "crow"),
    Animal("wolf", "gray", "big", "in the dark valley", "meat", "howls", "at night", "follow a trail", "raven"),
    Animal("raven", "black", "old", "on the high cliff", "nuts", "calls", "before the storm", "remember a face", "wolf"),
    Animal("beaver", "brown", "strong", "by the river", "bark", "slaps the water", "in the evening", "build a dam", "bear"),
    Animal("badger", "gray", "quiet", "under the oak tree", "roots", "grunts", "at night", "dig a deep hole", "fox"),
    Animal("bat", "brown", "tiny", "in the cave", "moths", "clicks", "after sunset", "fly without a sound", "owl"),
    Animal("hare", "brown", "quick", "in the wheat field", "carrots", "drums on the ground", "at dawn", "turn in the air", "lark"),
    Animal("lark", "yellow", "little", "above the wheat field", "worms", "sings", "at dawn", "rise into the clouds", "hare"),
    Animal("otter", "brown", "playful", "in the stream", "fish", "whistles", "at noon", "slide down the bank", "swan"),
    Animal("swan", "white", "proud", "on the castle pond", "reeds", "hisses", "in the morning", "stretch its long neck", "otter"),
]

PEOPLE = [
    Person("Mara", "she", "her", "her", "baker", "Elmford", "bread", "a wooden spoon", "plums", "cat"),
    Person("Tom", "he", "him", "his", "miller", "Stonebridge", "flour", "a heavy wheel", "music", "dog"),
    Person("Lena", "she", "her", "her", "teacher", "Northgate", "lessons", "a piece of chalk", "maps", "parrot"),
    Person("Oscar", "he", "him", "his", "fisher", "Port Anna", "nets", "a long rope", "storms", "gull"),
    Person("Ida", "she", "her", "her", "doctor", "Elmford", "medicine", "a small lamp", "roses", "horse"),
    Person("Paul", "he", "him", "his", "farmer", "Greenhill", "corn", "an iron plow", "apples", "donkey"),
    Person("Nora", "she", "her", "her", "painter", "Port Anna", "pictures", "a soft brush", "the sea", "kitten"),
    Person("Felix", "he", "him", "his", "smith", "Stonebridge", "horseshoes", "a hammer", "fire", "hound"),
    Person("Clara", "she", "her", "her", "weaver", "Northgate", "blankets", "a wide loom", "blue wool", "lamb"),
    Person("Hugo", "he", "him", "his", "gardener", "Greenhill", "flowers", "a rusty spade", "bees", "turtle"),
    Person("Rosa", "she", "her", "her", "cook", "Stonebridge", "soup", "a copper pot", "garlic", "goose"),
    Person("Emil", "he", "him", "his", "carpenter", "Elmford", "chairs", "a sharp saw", "oak wood", "squirrel"),
    Person("Vera", "she", "her", "her", "sailor", "Port Anna", "knots", "a brass compass", "the stars", "monkey"),
    Person("Anton", "he", "him", "his", "tailor", "Northgate", "coats", "a silver needle", "silk", "canary"),
    Person("Greta", "she", "her", "her", "shepherd", "Greenhill", "cheese", "a crooked stick", "old songs", "collie"),
    Person("Jonas", "he", "him", "his", "potter", "Elmford", "bowls", "a turning wheel", "clay", "pigeon"),
]

TOWNS = {
    "Elmford": ("lies beside a slow river", "the clock on the market"),
    "Stonebridge": ("has a bridge of seven arches", "the mill below the bridge"),
    "Northgate": ("stands behind a high wall", "the library with the green door"),
    "Port Anna": ("looks out over the bay", "the red lighthouse"),
    "Greenhill": ("is surrounded by orchards", "the windmill on the hill"),
}

SEASONS = {
    "spring": ("the snow melts", "the first flowers open"),
    "summer": ("the days are long", "the fields turn gold"),
    "autumn": ("the leaves fall", "the apples are picked"),
    "winter": ("the ponds freeze", "smoke rises from every chimney"),
}

NUMBERS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
]

THINGS = ["apples", "eggs", "candles", "buttons", "pears", "shells", "coins", "ribbons", "stones", "cups"]


def upper_first(text: str) -> str:
    return text[0].upper() + text[1:]


def a(word: str) -> str:
    return ("an " if word[0] in "aeiou" else "a ") + word
