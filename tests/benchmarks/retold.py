"""Items of our own making, each told in other words and in another language: what the embedding pass is measured on.

The limits of `kdgov.checks.scan.retold_items` were chosen with `RETOLD` in view; `HELD_OUT` was written afterwards.
"""

from __future__ import annotations

RETOLD: tuple[tuple[str, str, str], ...] = (
    (
        "Mara fills 6 crates with 24 apples each and gives away 30 apples. How many apples does she have left?",
        "After packing two dozen apples into each of half a dozen boxes, Mara hands thirty of them to friends. What number remains?",
        "Mara füllt 6 Kisten mit je 24 Äpfeln und verschenkt 30 Äpfel. Wie viele Äpfel hat sie noch?",
    ),
    (
        "A train leaves at 7:45 and arrives at 10:20. How long does the journey take?",
        "Departing at a quarter to eight in the morning, the train pulls in twenty minutes past ten. What is the duration of the trip?",
        "Un tren sale a las 7:45 y llega a las 10:20. ¿Cuánto dura el viaje?",
    ),
    (
        "Which gas do plants take in from the air when they make sugar in sunlight?",
        "During photosynthesis, green leaves absorb one particular gas out of the atmosphere. Name it.",
        "Quel gaz les plantes absorbent-elles dans l'air lorsqu'elles fabriquent du sucre au soleil ?",
    ),
    (
        "A tank holds 400 litres and leaks 5 litres every hour. After how many hours is it half empty?",
        "Water seeps out of a 400-litre container at a rate of five litres an hour. When will only half of its content remain?",
        "Ein Tank fasst 400 Liter und verliert jede Stunde 5 Liter. Nach wie vielen Stunden ist er halb leer?",
    ),
    (
        "The lawyer asked the witness why she had deleted the messages before the hearing.",
        "Before the court session, a witness had erased her texts, and the attorney wanted to know the reason.",
        "El abogado preguntó a la testigo por qué había borrado los mensajes antes de la audiencia.",
    ),
    (
        "Write a function that returns the second largest number in a list of integers.",
        "Given an array of whole numbers, implement a routine yielding the value that comes right after the maximum.",
        "Écrivez une fonction qui renvoie le deuxième plus grand nombre d'une liste d'entiers.",
    ),
    (
        "Which planet of our solar system has the shortest year?",
        "Name the world that circles the Sun in less time than any of its siblings.",
        "Welcher Planet unseres Sonnensystems hat das kürzeste Jahr?",
    ),
    (
        "A shirt costs 40 euros and is reduced by 15 percent. What is the new price?",
        "How much do you pay for a 40 euro shirt once the shop takes fifteen percent off?",
        "Una camisa cuesta 40 euros y se rebaja un 15 por ciento. ¿Cuál es el nuevo precio?",
    ),
    (
        "My landlord refuses to return the deposit although I left the flat clean. What can I do?",
        "I moved out and the apartment was spotless, yet the owner keeps my security money. Which steps are open to me?",
        "Mon propriétaire refuse de rendre la caution alors que j'ai laissé l'appartement propre. Que puis-je faire ?",
    ),
    (
        "If all of the cats are grey and Tom is a cat, what colour is Tom?",
        "Suppose every cat has grey fur. Tom happens to be a cat. Say which colour he must be.",
        "Wenn alle Katzen grau sind und Tom eine Katze ist, welche Farbe hat Tom?",
    ),
    (
        "Three painters need 8 days to paint a bridge. How many days would four painters need?",
        "A crew of 3 takes eight days over painting a bridge; how long is the work with one more person on the crew?",
        "Tres pintores necesitan 8 días para pintar un puente. ¿Cuántos días necesitarían cuatro pintores?",
    ),
    (
        "Why does ice float on water?",
        "Explain what keeps frozen water at the surface of a lake instead of letting it sink.",
        "Pourquoi la glace flotte-t-elle sur l'eau ?",
    ),
    (
        "A patient takes one tablet every 6 hours. How many tablets does she take in 5 days?",
        "Someone swallows a pill four times a day at even intervals. Count the pills after five days.",
        "Eine Patientin nimmt alle 6 Stunden eine Tablette. Wie viele Tabletten nimmt sie in 5 Tagen?",
    ),
    (
        "The old baker closed his shop because nobody wanted to take it over.",
        "Since no successor could be found, the elderly owner of the bakery shut its doors for good.",
        "El viejo panadero cerró su tienda porque nadie quería hacerse cargo de ella.",
    ),
    (
        "What is the capital of the country whose flag shows a red maple leaf?",
        "A crimson leaf of a maple adorns a nation's banner. Where does its government sit?",
        "Quelle est la capitale du pays dont le drapeau montre une feuille d'érable rouge ?",
    ),
    (
        "Lena reads 12 pages on Monday and twice as many on Tuesday. How many pages does she read in total?",
        "On Tuesday Lena got through double the 12 pages she had read the day before. Give the sum over both days.",
        "Lena liest am Montag 12 Seiten und am Dienstag doppelt so viele. Wie viele Seiten liest sie insgesamt?",
    ),
    (
        "My child has had a fever for three days and refuses to drink. Should I go to a doctor?",
        "For three days now our little one's temperature is high and she won't take any liquids. Is it time for medical help?",
        "Mi hijo tiene fiebre desde hace tres días y se niega a beber. ¿Debo ir al médico?",
    ),
    (
        "A rectangle is 9 metres long and 4 metres wide. What is its area?",
        "Find how many square metres a rectangular plot covers when its sides measure 4 m and 9 m.",
        "Un rectangle mesure 9 mètres de long et 4 mètres de large. Quelle est son aire ?",
    ),
    (
        "Which instrument measures the pressure of the air?",
        "Meteorologists read atmospheric pressure from what device?",
        "Welches Gerät misst den Druck der Luft?",
    ),
    (
        "Explain to a ten-year-old how a vaccine protects against an illness.",
        "In words that a child of ten understands, say why being vaccinated keeps you from getting sick.",
        "Explica a un niño de diez años cómo protege una vacuna contra una enfermedad.",
    ),
    (
        "The nurse told the patient that her shift would be over in an hour.",
        "\"I am off in sixty minutes,\" the nurse let the person in the bed know.",
        "L'infirmière a dit à la patiente que son service se terminerait dans une heure.",
    ),
    (
        "Given a string, count how often each letter occurs and print the letters in order of frequency.",
        "Tally the characters of a text and output them starting with the most common one.",
        "Zähle in einer Zeichenkette, wie oft jeder Buchstabe vorkommt, und gib die Buchstaben nach Häufigkeit geordnet aus.",
    ),
    (
        "Two numbers add up to 50 and one of them is 8 larger than the other. What are the numbers?",
        "The sum of a pair of numbers equals fifty, and they differ by eight. Determine both.",
        "Dos números suman 50 y uno de ellos es 8 mayor que el otro. ¿Cuáles son los números?",
    ),
    (
        "Who may see the medical records of an employee?",
        "Which people in a company are entitled to look at a worker's health files?",
        "Qui peut consulter le dossier médical d'un employé ?",
    ),
    (
        "A farmer has 17 sheep and all but 9 run away. How many are left?",
        "Of the seventeen sheep on a farm, every one except nine escapes. How big is the flock now?",
        "Ein Bauer hat 17 Schafe und alle bis auf 9 laufen weg. Wie viele bleiben übrig?",
    ),
    (
        "Which river flows through the cities of Vienna and Budapest?",
        "The Austrian and the Hungarian capitals lie on the same waterway. What is it called?",
        "¿Qué río pasa por las ciudades de Viena y Budapest?",
    ),
    (
        "Translate the sentence into polite English: give me the report now.",
        "Put this demand for the report into courteous words in English: hand it over right away.",
        "Traduisez la phrase en anglais poli : donne-moi le rapport maintenant.",
    ),
    (
        "A car uses 6 litres of petrol per 100 kilometres. How much does it use for 250 kilometres?",
        "Driving 250 km, what amount of fuel is burnt by a vehicle that needs six litres for every hundred?",
        "Ein Auto verbraucht 6 Liter Benzin auf 100 Kilometer. Wie viel verbraucht es auf 250 Kilometern?",
    ),
    (
        "The committee rejected the plan because it would have cost too much and helped too few people.",
        "Being expensive and of use to hardly anyone, the proposal was turned down by the board.",
        "El comité rechazó el plan porque habría costado demasiado y ayudado a muy pocas personas.",
    ),
    (
        "What should a cyclist do when a bus pulls out in front of her?",
        "Imagine riding a bike as a coach leaves its stop right ahead of you. How do you react?",
        "Que doit faire une cycliste quand un bus démarre devant elle ?",
    ),
    (
        "There are 5 red and 3 blue marbles in a bag. What is the chance of drawing a blue one?",
        "A sack holds eight marbles, three of which are blue and the rest red. How probable is it that the first one picked is blue?",
        "In einem Beutel sind 5 rote und 3 blaue Murmeln. Wie groß ist die Wahrscheinlichkeit, eine blaue zu ziehen?",
    ),
    (
        "Why do we see lightning before we hear thunder?",
        "In a storm the flash reaches us earlier than the sound. Give the reason.",
        "¿Por qué vemos el relámpago antes de oír el trueno?",
    ),
)  # fmt: skip
"""Item, the item in other words, the item in German, Spanish or French."""
HELD_OUT: tuple[tuple[str, str, str], ...] = (
    (
        "A bakery sells 35 loaves in the morning and 48 in the afternoon. How many loaves does it sell that day?",
        "In a day's trade, 35 loaves go over the counter before noon and another 48 after it. State the total.",
        "Eine Bäckerei verkauft am Morgen 35 Brote und am Nachmittag 48. Wie viele Brote verkauft sie an diesem Tag?",
    ),
    (
        "Which organ of the human body makes insulin?",
        "Insulin is produced by what part of our body?",
        "¿Qué órgano del cuerpo humano produce insulina?",
    ),
    (
        "How do I cancel a hotel booking without paying a fee?",
        "Is there a way to call off my reserved room for free?",
        "Comment annuler une réservation d'hôtel sans payer de frais ?",
    ),
    (
        "A ladder of 5 metres leans against a wall and its foot stands 3 metres away. How high does it reach?",
        "The base of a 5 m ladder is 3 m from the house it rests on. At what height does it touch the house?",
        "Eine Leiter von 5 Metern lehnt an einer Wand, ihr Fuß steht 3 Meter entfernt. Wie hoch reicht sie?",
    ),
    (
        "Why is the sky blue during the day and red in the evening?",
        "Explain the change of the heavens' colour from blue at noon to reddish at sunset.",
        "¿Por qué el cielo es azul durante el día y rojo por la tarde?",
    ),
    (
        "Write a query that lists all customers who have never placed an order.",
        "Using SQL, find every client without a single purchase.",
        "Écrivez une requête qui liste tous les clients n'ayant jamais passé de commande.",
    ),
    (
        "A worker earns 14 euros an hour and works 38 hours a week. How much does he earn in a week?",
        "At a wage of 14 euros for each hour, what is the weekly pay for 38 hours of work?",
        "Ein Arbeiter verdient 14 Euro pro Stunde und arbeitet 38 Stunden pro Woche. Wie viel verdient er in einer Woche?",
    ),
    (
        "Is it legal to record a telephone call without telling the other person?",
        "May I tape a phone conversation secretly under the law?",
        "¿Es legal grabar una llamada telefónica sin avisar a la otra persona?",
    ),
    (
        "The teacher thanked the parents because they had repaired the fence of the school garden.",
        "For mending the fence round the school's garden, the mothers and fathers got a word of thanks from the teacher.",
        "La professeure a remercié les parents parce qu'ils avaient réparé la clôture du jardin de l'école.",
    ),
    (
        "What happens to the price of a good when supply falls and demand stays the same?",
        "With unchanged demand but less of a product on offer, how does what it costs develop?",
        "Was geschieht mit dem Preis eines Gutes, wenn das Angebot sinkt und die Nachfrage gleich bleibt?",
    ),
    (
        "A bus carries 52 passengers. At a stop 17 get off and 9 get on. How many passengers are on the bus now?",
        "Out of 52 people on a bus, 17 leave at the next halt while 9 newcomers board. How many ride on?",
        "Un autobús lleva 52 pasajeros. En una parada bajan 17 y suben 9. ¿Cuántos pasajeros hay ahora en el autobús?",
    ),
    (
        "Which side effects may occur when somebody takes aspirin every day?",
        "What unwanted consequences can the daily use of aspirin have?",
        "Quels effets secondaires peuvent survenir quand on prend de l'aspirine tous les jours ?",
    ),
    (
        "Sort these words by their length and remove those that occur twice.",
        "Arrange the terms from shortest to longest and drop duplicates.",
        "Sortiere diese Wörter nach ihrer Länge und entferne die, die doppelt vorkommen.",
    ),
    (
        "Who wrote the play in which a prince of Denmark avenges his father?",
        "A Danish prince takes revenge for his murdered father on stage. Name the author.",
        "¿Quién escribió la obra en la que un príncipe de Dinamarca venga a su padre?",
    ),
    (
        "A recipe for 4 people needs 300 grams of flour. How much flour is needed for 10 people?",
        "With 300 grams of flour you can cook for 4. What quantity will feed 10?",
        "Une recette pour 4 personnes demande 300 grammes de farine. Combien de farine faut-il pour 10 personnes ?",
    ),
    (
        "How can I tell whether an e-mail that asks for my password is genuine?",
        "By what signs do I recognise that a message wanting my login data is a fraud?",
        "Woran erkenne ich, ob eine E-Mail, die nach meinem Passwort fragt, echt ist?",
    ),
)  # fmt: skip
"""As `RETOLD`; nobody looked at these before the limits stood."""
