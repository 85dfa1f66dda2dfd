"""The words by which lint tells what can be seen from what cannot. English: other languages pass these rules unread.

All are for text in lower case: a pattern that looks past case takes several times as long.
"""

from __future__ import annotations

import re

NEGATION = re.compile(
    r"\b(no|not|none|never|neither|nor|without|lack(s|ing)?|absen(t|ce)|hardly|scarcely|devoid|missing|zero"
    r"|free (of|from)|(deprived|void|bare|stripped|emptied) of|cannot|nothing|fails?|\w+-free|\w+n't|rather than"
    r"|instead of|exclud(?:es?|ing))\b"
)
NOT_NEGATION = re.compile(
    r"\bnot (only|just|merely|to mention)\b|\bwhether or not\b|\bno(?=\. ?\d)|\b(absolute|sub|near)[- ]zero\b"
)

UNSEEN = re.compile(
    r"\b(native to|found (in|on|throughout|near|along|across|all over)|originat\w+|origins?|aris(es|ing) from"
    r"|invented|developed|history|historical\w*|ancient|century|centuries|traditional\w*|popular\w*|famous"
    r"|well[- ]known|known (for|as|to)|also (called|known)|belongs? to|member of|species|breeds?|bred|family|genus"
    r"|type of|kind of|form of|used|serves?|served|purpose|designed|intended|enjoyed|delicious|tast\w+|flavou?r\w*"
    r"|smell\w*|aroma\w*|sound\w*|nutritious|healthy (?:snack|meal|food|diet|option|choice|eating|breakfast|fats?"
    r"|and nutritious)|rich in|protein|vitamin\w*|diet|eats?|feeds?|prey|device|tool (?:used|for|that)|instrument"
    r"|machine|vehicle|garment|vessel (?:used|designed)|hunt(?:s|ed)?|behaviou?r\w*|temperament|intelligen\w+"
    r"|loyal\w*|friendly|playful|price\w*|expensive|cheap|weigh\w*|kilograms?|pounds|lifespan|symbol\w*|cultur\w+"
    r"|religio\w+|common(ly)?|staple|cuisine|dish|dessert|recipe|prepared|cooked|made (by|with|from)|consists? of"
    r"|refers? to|variety|varieties|provid\w+|allow\w*|help\w*|protect\w*|involv(?:es?|ed|ing)|play(?:s"
    r"|ed)? an? (?:\w+ )?role|responsible for|functions? as|hallmark|(?:can|may|often) (?:support|influence)s?"
    r"|depend\w*|important|essential|typically (worn|found|seen))\b"
)

_PRAISE = (
    r"(?:distinct(?:ive(?:ly)?|ly)?|unique(?:ly)?|recogni[sz]able|characteristic|unmistakable|striking|fascinating"
    r"|interesting|impressive|beautiful|remarkable|notable|specific|certain|identifiable|unusual|memorable|typical)"
)
_MANNER = (
    r"(?:powerful|elegant|majestic|graceful|stylish|sophisticated|modern|classic|timeless|rugged|formidable|regal"
    r"|noble|intimidating|imposing|menacing|charming|cute|adorable|attractive|appealing|luxurious|professional"
    r"|iconic|exotic|sleek|rustic|appetizing|delicious|mouthwatering|inviting|refined|dignified|athletic|fierce"
    r"|intelligent|friendly|gentle|traditional|dramatic|bold|confident|agile|strong|sturdy|overall|general"
    r"|unassuming)"
)
_GENERAL = r"(?:common|various|different|main|key|important|special|particular|visual|physical|aesthetic|simple)"
_LOOKS = (
    r"(?:appearances?|looks?|features?|characteristics?|traits?|shapes?|designs?|styles?|expressions?|patterns?"
    r"|markings?|colou?rs?|colou?rations?|textures?|structures?|silhouettes?|outlines?|profiles?|builds?"
    r"|physiques?)"
)
_VERY = r"(?:(?:very|highly|quite|truly|easily|most|more|rather|somewhat|visually) )"
_WORTH = rf"(?:{_PRAISE}|{_MANNER}|{_GENERAL})"
OPINION = re.compile(rf"\b{_VERY}?{_WORTH}(?:(?:,? and|,|,? yet|,? but)? {_VERY}?{_WORTH})*(?:,? {_LOOKS})?\b(?! of )")
"""Praise, with the noun that it goes with: 'a sleek and powerful appearance' shows nothing."""

EMPTY_TALK = re.compile(
    rf"\b{_VERY}?{_PRAISE}\b[\w ,'-]{{0,60}}?\b(?:appearances?|looks?|features?|characteristics?|traits?|shapes?"
    rf"|designs?"
    r"|object|qualities|attributes|animals?|birds?|dogs?|creatures?)\b"
    rf"|\b{_MANNER}\b[\w ,'-]{{0,40}}?\b(?:appearances?|looks?|designs?|styles?|expressions?)\b"
    r"|\b(?:easily|instantly|immediately|readily) (?:be )?(?:recogni[sz]\w+|identif\w+|distinguish\w+)"
    r"|\bdescri(?:be|bed|ption)\b.{0,40}\b(?:as follows|below|following)\b|\b(?:can|may) (?:vary|come|be found"
    r"|have|be)\b.{0,30}\b(?:variet(?:y|ies)|depending|range|various|variety|different) |\bvar(?:y|ies) (?:widely"
    r"|greatly|in|from)\b"
)

ASIDE = re.compile(
    r"\b(?:(?:is|are|was|were|be|been|being|often|commonly|typically|usually|primarily|mainly|originally"
    r"|specifically|specially|also|widely) )*(?:(?:used|designed|intended|built|made|meant|suited|suitable|ideal"
    r"|perfect) (?:for|to|in|as|by)|worn (?:by|in|for|on|during|over|as|around)|serv(?:es?|ed|ing) (?:as|to|at"
    r"|for)|native to|(?:found|seen|spotted|grown|kept|stored|located|placed|sold|eaten|consumed|enjoyed"
    r"|played) (?:in|on|at|near|along|across|throughout|by|around|during|as|all over)|originat\w+|aris(?:es"
    r"|ing) from|for comparison with|invented|developed|bred|belongs? to|member of|in order to|that (?:can|may"
    r"|will)|(?:that|which|to|can|may) (?:store|hold|project|measure|carry|transport|move|cut|keep|make|produce"
    r"|play|provide|allow|help|protect|control|display|create|clean|cook|heat|cool|perform|record|amplify|catch"
    r"|hunt|eat|feed|live)s?|(?:provid|protect)(?:es?|s|ing)|(?:allow|help)(?:s|ing)?|prey(?:s|ing)? (?:on|upon)"
    r"|hunt(?:s|ing|ed)?|feed(?:s|ing)? on|eats?|lives? in|weigh(?:s|ing)?)\b[^,;.:]*?(?=[,;.:]|$|\b(?:with"
    r"|featuring|has|have|having|and (?:is|are|has|have|can be|consists?))\b)|\b(?:type|kind|form) of \w+"
)
"""The part of a sentence that says what a thing is for, where it is from, what it does: nothing in it is seen."""

_COLOURS = """black white grey gray red orange yellow green blue purple violet pink brown tan beige cream golden
gold silver silvery bronze copper ivory crimson scarlet maroon olive teal turquoise navy amber rust rusty reddish
bluish greenish yellowish brownish greyish grayish whitish blackish pinkish purplish pale dark darker bright vivid
vibrant dull colour color coloured colored colours colors colourful colorful colouring coloring coloration hue
hues tint shade shades tone tones monochrome iridescent translucent transparent opaque shiny glossy matte metallic
glowing gleaming"""
_SHAPES = """round rounded circular oval ovoid spherical sphere cylinder cylindrical cylinder-shaped conical cone
cube cubic cuboid rectangular rectangle square triangular triangle hexagonal octagonal flat flattened curved
curving straight bent hooked pointed pointy blunt tapered tapering tapers narrow wide broad thin thick slim
slender long longer short shorter tall elongated stocky stout chunky plump chubby streamlined lean bulky muscular
heavy-bodied shape shaped shapes bell-shaped boxy arched arch domed dome spiral coiled twisted hollow solid
symmetrical asymmetrical irregular lobed lobes branched forked crescent ring ring-shaped disc disk ball-shaped
heart-shaped star-shaped pear-shaped egg-shaped upright vertical horizontal diagonal sloping sloped steep shallow
length width diameter feet umbrella-shaped u-shaped v-shaped y-shaped l-shaped wedge-shaped hourglass folded
rolled wrapped layered stacked sliced chopped diced shredded cubed crumbled minced mashed half silhouette outline
profile bodied physique"""
_TEXTURES = """smooth rough bumpy wrinkled wrinkly fluffy furry fuzzy hairy bristly shaggy silky woolly wooly wiry
curly wavy soft scaly spiny spiky prickly thorny ribbed ridged grooved textured texture coarse fine grainy
granular crispy crisp crunchy crusty crumbly flaky creamy moist juicy sticky gooey glazed crust golden-brown
caramelized charred seared melted runny spotted spots spot striped stripes stripe speckled mottled marbled marble
patches patch patterned pattern patterns markings marking rosette rosettes bands banded checkered plaid dotted
dots streaks streaked freckled glass metal steel iron aluminum aluminium brass wood wooden plastic leather rubber
ceramic clay stone concrete brick fabric cloth cotton wool paper cardboard straw feathers feathered plumage fur
coat mane wool quilted woven knitted mesh lace embroidered carved engraved polished slimy wet dry icy frosty dusty
cloudy hazy opacity opacities density echogenic hyperechoic hypoechoic consolidation nodules nodule lesion lesions
mass margins margin granules"""
_PARTS = """head face eyes eye ears ear snout muzzle nose mouth lips teeth tusks fangs tongue beak bill neck
throat chest breast belly abdomen back spine shoulder shoulders leg legs limbs paw paws foot hoof hooves claw
claws talons tail tails tailed wing wings fin fins gills antenna antennae horn horns antlers crest shell shells
carapace shelled scales legged eared haired faced nosed billed winged headed necked edged sided footed skin
tentacles trunk stem stems leaf leaves petals petal roots branches bark cap gills handle handles blade blades edge
edges rim lid spout base bottom side sides wheel wheels tire tires windshield windows window door doors roof roofs
hood bumper headlights engine seat seats backrest armrests cushion cushions strap straps buckle zipper pocket
pockets collar sleeves sleeve hem brim button buttons knob knobs dial dials screen display keyboard keys cord
cable wire wires lens lenses barrel hull deck mast masts sail sails bow stern fuselage cockpit propeller
wheelhouse column columns pillar pillars tower towers spire steeple arches wall walls stairs steps railing shelves
shelf drawers drawer compartment compartments panel panels slot slots hole holes opening openings bars bar pole
poles rod rods shaft tube tubes pipe pipes strings bridge neck pedals pendulum hands numerals lettering logo label
filling toppings topping topped layers layer slices slice pieces sauce cheese noodles rice vegetables herbs broth
crumbs sprinkled drizzled garnished dusted frosting icing whipped bun tortilla plate bowl chunks strands lobe
nucleus cytoplasm vessels rings ridges bumps spikes spines quills thorns fringe tuft whiskers jaw jaws forehead
cheeks brow crown nape rump underside underparts upperparts flanks hind front rear inner outer interior exterior
corner corners tip tips"""
_FINDINGS = """ulceration ulcerations ulcer ulcers erosion erosions erythema erythematous mucosa glands nuclei
collagen edema oedema swelling enhancement calcification calcifications calcified necrosis necrotic cyst cysts
cystic septa septum cavity cavities effusion infiltrate infiltrates osteophyte osteophytes sclerosis exudates
hemorrhage hemorrhages haemorrhage haemorrhages microaneurysms drusen thickening thinning atrophy plaque plaques
papule papules pigment pigmented globules crusting telangiectasia keratin mucin lymphocytes hyperreflective
hyporeflective hyperdense hypodense heterogeneous homogeneous spiculated polyp polyps pseudopolyps osteoblastic
granuloma"""
VISIBLE = frozenset(" ".join((_COLOURS, _SHAPES, _TEXTURES, _PARTS)).split())
"""Words for what a picture shows: colours, shapes, textures, and the parts of things; size alone shows nothing."""
FINDINGS = frozenset(_FINDINGS.split())
"""Words for what a medical picture shows; many of them name a class."""

_FILLERS = frozenset(
    re.findall(
        r"\w+",
        "a an and as at by for from in into its it is are of on one or over that the to two with which has hav"
        r"e",
    )
)


def stems(text: str) -> frozenset[str]:
    """Return the words that carry the meaning, cut to five letters, so that 'lobe' and 'lobes' count as one.

    Example:
        >>> sorted(stems("A nucleus with two lobes"))
        ['lobe', 'nucle']
    """
    return frozenset(w[:5].rstrip("s") for w in re.findall(r"[^\W\d_]+", text.lower()) if w not in _FILLERS)
