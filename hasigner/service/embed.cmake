# cmake -D INPUT=FILE -D OUTPUT=FILE.cpp -P embed.cmake: the document as a C++ string, in pieces that every compiler takes.
file(READ ${INPUT} text)
string(LENGTH "${text}" length)
set(pieces "")
set(begin 0)
while(begin LESS length)
  string(SUBSTRING "${text}" ${begin} 8000 piece)
  string(APPEND pieces "    R\"openapi(${piece})openapi\"\n")
  math(EXPR begin "${begin} + 8000")
endwhile()
file(WRITE ${OUTPUT} "#include \"hasigner/service/openapi.hpp\"\n\nnamespace hasigner::service {\n
std::string_view openapi_document() {\n  return\n${pieces}    ;\n}\n\n}  // namespace hasigner::service\n")
