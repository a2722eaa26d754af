/** The words of the sample users: names, towns, and the sentences of which a bio is made, one of each paragraph. */
export const FIRST_NAMES = split(
  ' ',
  `
  Ada Adrian Aisha Akira Alba Alejandro Alice Amara Amélie Amir Ana Anders Andrea Anika Anton Aria Arjun Astrid Aurora Ayşe
  Beatriz Ben Bianca Björn Bruno Camila Carlos Carmen Catherine Cecilia Chen Chiara Chloe Clara Cora Dalia Daniel David Deniz
  Diego Dora Eduardo Elena Eli Elif Elin Elisa Emeka Emil Emma Enzo Erik Esther Eva Fatima Felix Femi Finn Fiona Florian
  Francesca Freya Gabriel Giulia Grace Greta Hana Hannah Haruto Hassan Hugo Ibrahim Ida Ines Ingrid Irina Isaac Isabel Ivan
  Jack Jana Jonas Jorge José Julia Kai Karim Kavya Kenji Khadija Kofi Lars Laura Leila Leo Léa Liam Lin Linh Lucas Lucía Luna
  Magnus Maja Malik Marco Margot Maria Mateo Maya Mehmet Mei Mia Milan Mina Mohamed Nadia Naomi Nia Nico Nina Noah Nora Olga
  Oliver Olivia Omar Oscar Paola Pedro Petra Priya Rafael Rania Ravi Renata Rosa Ruben Ruth Sadia Samir Samuel Sana Sara Selma
  Sofia Sven Tariq Tess Thandiwe Theo Tomás Uma Valentina Vera Victor Wanjiru Wei Yara Yasmin Yuki Yusuf Zainab Zoë Zuzana`,
);

export const LAST_NAMES = split(
  ' ',
  `
  Abara Acosta Adeyemi Ahmed Almeida Andersson Aydın Bakker Banerjee Barros Bauer Becker Bergström Bianchi Bianco Blanc Bose
  Brandt Brown Carvalho Castillo Chandra Chen Cohen Conti Costa Cruz Dahl Delgado Demir Desai Diallo Dubois Dumont Eriksen
  Fernández Ferrari Fischer Flores Fontaine Fujita García Gomes González Greco Gupta Haddad Hansen Hartmann Hashimoto
  Hernández Hoffmann Horvat Hughes Ibrahim Ito Iyer Jansen Jensen Johansson Jovanović Kamau Kapoor Kaya Keller Khalil Khan Kim
  Kimura Kovač Kowalski Kumar Larsen Laurent Lee Lehmann Lindqvist Liu Lopes López Mancini Marino Martín Martins Mbeki Mehta
  Meier Mendes Mendoza Meyer Mori Morales Moreau Moreno Mukherjee Murphy Mwangi Müller Nakamura Navarro Ndiaye Nguyen Nielsen
  Novák Nowak Núñez Obi Okafor Okoye Olsen Ortiz Osei Park Patel Pereira Petrov Popescu Quispe Ramírez Rao Reyes Ricci Rinaldi
  Rivera Rojas Romano Rossi Roy Ruiz Saito Salazar Sánchez Santos Sato Schmidt Schneider Schulz Sharma Silva Singh Smirnova
  Sørensen Sousa Stein Suzuki Svensson Takahashi Tanaka Torres Tran Traoré Vargas Vasquez Vega Virtanen Vogel Wagner Walker
  Wang Weber Wilson Wójcik Wolf Wong Yamada Yılmaz Young Zhang Zhou Zimmermann`,
);

export const TOWNS = split(
  '; ',
  `
  Aarhus, Denmark; Accra, Ghana; Amsterdam, Netherlands; Athens, Greece; Auckland, New Zealand; Austin, Texas; Bangalore,
  India; Barcelona, Spain; Belgrade, Serbia; Bergen, Norway; Berlin, Germany; Bogotá, Colombia; Bologna, Italy; Boston,
  Massachusetts; Brighton, United Kingdom; Brussels, Belgium; Buenos Aires, Argentina; Cairo, Egypt; Cape Town, South Africa;
  Chicago, Illinois; Copenhagen, Denmark; Cusco, Peru; Dakar, Senegal; Denver, Colorado; Dublin, Ireland; Edinburgh, Scotland;
  Florence, Italy; Geneva, Switzerland; Ghent, Belgium; Glasgow, Scotland; Göteborg, Sweden; Graz, Austria; Guadalajara,
  Mexico; Hamburg, Germany; Hanoi, Vietnam; Helsinki, Finland; Istanbul, Türkiye; Jakarta, Indonesia; Kraków, Poland; Kyoto,
  Japan; Lagos, Nigeria; Leipzig, Germany; Lima, Peru; Lisbon, Portugal; Ljubljana, Slovenia; London, United Kingdom; Lyon,
  France; Madrid, Spain; Malmö, Sweden; Manchester, United Kingdom; Marrakesh, Morocco; Medellín, Colombia; Melbourne,
  Australia; Mexico City, Mexico; Milan, Italy; Montevideo, Uruguay; Montréal, Canada; Mumbai, India; Nairobi, Kenya; Naples,
  Italy; New Delhi, India; Oaxaca, Mexico; Osaka, Japan; Oslo, Norway; Paris, France; Porto, Portugal; Portland, Oregon;
  Prague, Czechia; Pune, India; Quito, Ecuador; Recife, Brazil; Riga, Latvia; Rotterdam, Netherlands; Salvador, Brazil; San
  José, Costa Rica; Santiago, Chile; São Paulo, Brazil; Seoul, Korea; Seville, Spain; Singapore; Sofia, Bulgaria; Taipei,
  Taiwan; Tallinn, Estonia; Tartu, Estonia; Toronto, Canada; Toulouse, France; Trieste, Italy; Tunis, Tunisia; Turku, Finland;
  Utrecht, Netherlands; Valencia, Spain; Vancouver, Canada; Vienna, Austria; Vilnius, Lithuania; Warsaw, Poland; Wellington,
  New Zealand; Zürich, Switzerland`,
);

/** The sentences of each paragraph. */
export const BIO_PARTS = `
  Backend engineer who likes small services and long walks. Landscape photographer, mostly early mornings and bad weather.
  Product designer turning messy notes into calm screens. Marine biologist counting seagrass so that you do not have to.
  Teacher of mathematics, collector of good questions. Baker of sourdough, breaker of builds, mender of both. Data analyst
  with a weakness for maps and train timetables. Writer of short stories about people who repair things. Nurse by night,
  amateur astronomer on the nights between. Furniture maker working in oak, ash and whatever the storm brought down. Sound
  engineer recording cities before anybody is awake. Founder of a tiny studio for educational games. Translator between four
  languages and two children. Cyclist, cartographer and keeper of far too many bookmarks. Researcher in energy storage,
  cautiously optimistic. Cook, gardener and organiser of the neighbourhood library.

  Posts about databases, distributed systems and the occasional cat. Currently learning to draw plants properly, one leaf at a
  time. Shares the drafts, the failures and sometimes the finished thing. Writes a monthly letter on tools that last longer
  than their makers. Collects field recordings, old radios and stories about both. Talks about accessible interfaces and why
  defaults matter so much. Keeps a public notebook of experiments, most of which did not work. Reviews trails, huts and the
  soup that is served in them. Runs workshops on statistics for people who were told they cannot count. Documents street food
  markets and the families behind the stalls. Builds open hardware for weather stations in remote valleys. Restores bicycles
  and gives them to people who need one. Reads more papers than is healthy and summarises the good ones. Plays the cello
  badly, listens to it well, and writes about both.

  Grew up by the sea, moved inland for the libraries. Still answers letters on paper, given enough time. Half of a duo that
  plays weddings, openings and rainy Tuesdays. Believes that most problems are communication problems in disguise. Has
  opinions on fonts, knots and the correct way to slice bread. Once walked from one end of the country to the other, twice.
  Volunteers at the repair café every second Saturday of the month. Raising bees, tomatoes and two unreasonably curious
  daughters. Learns a new language every few years and forgets another one. Spends the summers on an old wooden boat without
  any internet. Maintains a small library that somehow half the city depends on. Prefers a good question to a quick answer,
  most of the days.

  Open to collaborations. Opinions are my own. Say hello if you are in town. Messages are answered on Sundays. Always happy to
  talk about maps. Ask me about the greenhouse. Previously at places with more meetings. Tea, not coffee. Slow replies, good
  ones. Looking for a rehearsal room.`
  .split('\n\n')
  .map((paragraph) => split(/(?<=\.) /, paragraph));

/** However its lines are broken. */
function split(separator: string | RegExp, text: string): readonly string[] {
  return text.trim().replace(/\s+/g, ' ').split(separator);
}
