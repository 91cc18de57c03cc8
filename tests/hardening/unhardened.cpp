// What the test must refuse.
int main(int count, char** words) {
  return words[count - 1][0];
}
