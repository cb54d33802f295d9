// The words of a PTX text.
#ifndef GPUTRAIN_SIM_PTX_TOKEN_H
#define GPUTRAIN_SIM_PTX_TOKEN_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ptx {

enum class Token : uint8_t {
  End,
  Name,       // identifier, register, opcode without its modifiers: r1, %tid, $L__BB0_1, add
  Dot,        // .name: directives, modifiers, types
  Integer,
  Float32,    // 0f3F800000
  Float64,    // 0d3FF0000000000000 or 1.5
  String,
  Mark,       // one character of punctuation
};

struct Word {
  Token token = Token::End;
  char mark = 0;
  bool isUnsigned = false;      // an integer with suffix U, or too large for signed
  bool spaceBefore = false;
  uint32_t line = 0;
  uint64_t value = 0;           // integer, or a float's bits
  std::string_view text;        // within the module's text; without the dot of Token::Dot, the quotes of Token::String
  size_t begin = 0, end = 0;    // place in the text
};

// Splits a text into words, the last one Token::End. On failure `error` is not empty and `line` says where.
std::vector<Word> split(std::string_view text, std::string &error, uint32_t &line);

}  // namespace ptx

#endif
