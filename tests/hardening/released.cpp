// A program with the flags of a release, so that the tests of another build can look at them.

#include <cstdio>
#include <cstring>

int main(int count, char** words) {
  char copy[16];
  std::strcpy(copy, words[count - 1]);
  std::puts(copy);
}
