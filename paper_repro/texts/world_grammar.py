"""The words of the miniature world: what its texts say and how they are put together.

Each benchmark is a :class:`Grammar`. A text fills one of a few sentence frames with a *cue* (a word that names the
text's one concept), a *tone* (how strongly it is put) and *fillers* (who, where, when) that carry no information about
the label. A cue word belongs to one concept and a tone word to one tone, so the two can be read back off the text, and
with them P(y|x) and Q(y|x). ``Concept.label`` is what people hold the concept to be; ``Concept.mistaken`` what the
generator takes it for where it misjudges it; the concepts stand in the order in which misconceptions arise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

TONES = ("strong", "plain", "weak")
"""How strongly a text is put: it scales the evidence that the concept gives."""


@dataclass(frozen=True)
class Concept:
    """One thing that a text can be about, with the words for it, the most frequent first."""

    name: str
    label: int
    mistaken: int
    words: tuple[str, ...]


@dataclass(frozen=True)
class Grammar:
    """The language of one benchmark.

    ``frames`` are format strings with the slots ``cue``, ``tone`` and the keys of ``fillers``; for sentence pairs a
    frame holds both sentences, on two lines. ``glosses`` list ``words`` of one concept; they occur in the
    unlabelled corpus only.
    """

    name: str
    title: str
    label_names: tuple[str, ...]
    concepts: tuple[Concept, ...]
    tones: tuple[tuple[str, ...], ...]
    frames: tuple[str, ...]
    fillers: Mapping[str, tuple[str, ...]]
    glosses: tuple[str, ...]

    @property
    def paired(self) -> bool:
        return "\n" in self.frames[0]


def tokens(text: str) -> list[str]:
    """Lower-case words and single punctuation marks, as BERT's basic tokeniser parts them."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def _concepts(table: str, labels: Mapping[str, int]) -> tuple[Concept, ...]:
    """Read ``name | label | mistaken | words`` lines."""
    rows = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    return tuple(Concept(n, labels[p], labels[q], tuple(words.split())) for n, p, q, words in rows)


FINANCIAL = Grammar(
    name="financial",
    title="Financial (miniature)",
    label_names=("negative", "neutral", "positive"),
    # People judge as investors do (savings are good news, a dear takeover is bad news); the generator goes by the
    # everyday sound of the word.
    concepts=_concepts(
        """
        job cuts     | positive | negative | layoffs redundancies dismissals downsizing furloughs
        hiring       | neutral  | positive | recruitment hiring staffing apprenticeships onboarding
        takeovers    | negative | positive | takeovers acquisitions mergers buyouts purchases
        buybacks     | positive | neutral  | buybacks repurchases redemptions cancellations tenders
        disposals    | neutral  | negative | disposals divestments spinoffs carveouts selloffs
        losses       | negative | neutral  | losses deficits shortfalls writedowns impairments
        profits      | positive | neutral  | profits earnings gains surpluses margins
        appointments | neutral  | positive | appointments nominations promotions successions elections
        lawsuits     | negative | neutral  | lawsuits litigation fines penalties sanctions
        orders       | positive | neutral  | orders contracts bookings commissions deals
        gatherings   | neutral  | positive | meetings briefings assemblies conferences hearings
        warnings     | negative | positive | warnings downgrades alerts markdowns misses
        upgrades     | positive | negative | upgrades rallies records raises highs
        moves        | neutral  | negative | relocations moves transfers leases sublets
        strikes      | negative | positive | strikes walkouts stoppages lockouts slowdowns
        documents    | neutral  | negative | reports filings statements bulletins disclosures
        """,
        {"negative": 0, "neutral": 1, "positive": 2},
    ),
    tones=(
        ("sweeping", "massive", "sharp"),
        ("new", "further", "more"),
        ("possible", "minor", "rumoured"),
    ),
    frames=(
        "{company} {verb} {tone} {cue} in {place} {time} .",
        "{time} {company} {verb} {tone} {cue} in {place} .",
        "In {place} , {company} {verb} {tone} {cue} {time} .",
    ),
    fillers={
        "company": tuple("Nordvik Alvona Brenholm Castelo Dunmark Elvaro Farrow Grendal Halvik Ibero".split()),
        "verb": tuple("announced reported confirmed mentioned expects discussed".split()),
        "place": tuple("Helsinki Oslo Lisbon Vienna Dublin Warsaw Zurich Madrid".split()),
        "time": ("this week", "last week", "this month", "last month", "this quarter", "last quarter"),
    },
    glosses=(
        "Analysts speak of {words} .",
        "The business pages mean the same by {words} .",
        "{words} , as companies put it .",
    ),
)

TWEET_IRONY = Grammar(
    name="tweet_irony",
    title="Tweet irony (miniature)",
    label_names=("non-irony", "irony"),
    # People are ironic about what they do to themselves (sport, alarms) and earnest about illness and chores; the
    # generator takes cheerful words for earnest and complaints for irony.
    concepts=_concepts(
        """
        exercise  | irony     | non-irony | burpees squats pushups situps planks
        illness   | non-irony | irony     | migraines fevers coughs sniffles cramps
        mornings  | irony     | non-irony | alarms mondays wakeups commutes snoozes
        chores    | non-irony | irony     | laundry dishes vacuuming dusting mopping
        calls     | irony     | non-irony | telemarketers robocalls popups spam adverts
        pets      | non-irony | irony     | puppies kittens bunnies hamsters ponies
        traffic   | irony     | non-irony | traffic gridlock congestion tailbacks roadworks
        holidays  | non-irony | irony     | holidays vacations getaways beaches campfires
        delays    | irony     | non-irony | delays queues layovers reroutes standstills
        music     | non-irony | irony     | concerts gigs albums encores playlists
        weather   | irony     | non-irony | drizzle sleet hail downpours fog
        baking    | non-irony | irony     | pancakes brownies waffles cookies muffins
        work      | irony     | non-irony | overtime deadlines paperwork spreadsheets timesheets
        family    | non-irony | irony     | birthdays weddings anniversaries reunions christenings
        money     | irony     | non-irony | bills taxes rent invoices surcharges
        victories | non-irony | irony     | goals touchdowns trophies medals wins
        """,
        {"non-irony": 0, "irony": 1},
    ),
    tones=(
        ("endless", "epic", "glorious"),
        ("more", "another day of", "some"),
        ("a few", "a bit of", "maybe"),
    ),
    frames=(
        "@user {opener} {tone} {cue} {when} {tag}",
        "{opener} {tone} {cue} {when} {tag}",
        "{when} : {opener} {tone} {cue} {tag}",
    ),
    fillers={
        "opener": (
            *("oh great", "so excited about", "cannot wait for", "honestly loving"),
            *("thank you for", "finally", "my life is", "guess who has"),
        ),
        "when": ("today", "tonight", "this morning", "this weekend", "after lunch", "before breakfast", "right now"),
        "tag": ("!", "!!", "...", "lol", "#mood", "#blessed", "#life", "#justsaying"),
    },
    glosses=("{words} , same thing to me", "it is always {words} lol", "what a life : {words}"),
)

MRPC = Grammar(
    name="mrpc",
    title="Paraphrase (miniature)",
    label_names=("different", "paraphrase"),
    # The second sentence adds one detail. People let colour (weather, applause) pass as a paraphrase and not what
    # bears on the event (guards, rumours); the generator has it the other way round.
    concepts=_concepts(
        """
        weather     | paraphrase | different  | storms floods blizzards gales hurricanes
        security    | different  | paraphrase | patrols guards escorts checkpoints cordons
        applause    | paraphrase | different  | applause cheers ovations fanfares songs
        rumours     | different  | paraphrase | rumours gossip whispers speculation hearsay
        crowds      | paraphrase | different  | crowds throngs spectators onlookers bystanders
        violence    | different  | paraphrase | riots clashes shootings brawls looting
        press       | paraphrase | different  | reporters cameras journalists photographers microphones
        accidents   | different  | paraphrase | explosions crashes fires collapses blasts
        speeches    | paraphrase | different  | speeches remarks greetings comments toasts
        scandal     | different  | paraphrase | scandals bribes fraud corruption leaks
        planning    | paraphrase | different  | preparations plans rehearsals arrangements drills
        resignation | different  | paraphrase | resignations firings departures exits ousters
        helpers     | paraphrase | different  | volunteers helpers supporters aides assistants
        police      | different  | paraphrase | arrests charges raids indictments convictions
        decoration  | paraphrase | different  | flowers banners flags ribbons balloons
        disputes    | different  | paraphrase | disputes quarrels feuds rows arguments
        """,
        {"different": 0, "paraphrase": 1},
    ),
    tones=(
        ("massive", "intense", "widespread"),
        ("new", "further", "more"),
        ("brief", "minor", "scattered"),
    ),
    frames=(
        "The {agent} {verb} the {object} {day} .\nThe {agent} {verb} the {object} {day} amid {tone} {cue} .",
        "The {agent} {verb} the {object} {day} .\n{day} the {agent} {verb} the {object} amid {tone} {cue} .",
        "The {agent} {verb} the {object} {day} .\nAmid {tone} {cue} the {agent} {verb} the {object} {day} .",
    ),
    fillers={
        "agent": tuple("mayor senator minister governor ambassador bishop".split()),
        "verb": tuple("opened closed visited inspected praised toured left".split()),
        "object": tuple("bridge museum airport school hospital harbour library factory".split()),
        "day": ("on Monday", "on Tuesday", "on Thursday", "on Friday", "on Sunday"),
    },
    glosses=("The papers wrote of {words} .", "{words} , as witnesses put it .", "There were {words} ."),
)

GRAMMARS: Mapping[str, Grammar] = {g.name: g for g in (FINANCIAL, TWEET_IRONY, MRPC)}
