# cmake -D INPUT=FILE -D OUTPUT=FILE.cpp -D HEADER=FILE.hpp -D FUNCTION=NAME -P embed.cmake: the file as a C++ string, in
# pieces that every compiler takes.
file(READ ${INPUT} text)
string(LENGTH "${text}" length)
set(pieces "")
set(begin 0)
while(begin LESS length)
  string(SUBSTRING "${text}" ${begin} 8000 piece)
  string(APPEND pieces "    R\"embedded(${piece})embedded\"\n")
  math(EXPR begin "${begin} + 8000")
endwhile()
file(WRITE ${OUTPUT} "#include \"${HEADER}\"\n\nnamespace hasigner::service {\n
std::string_view ${FUNCTION}() {\n  return\n${pieces}    ;\n}\n\n}  // namespace hasigner::service\n")
