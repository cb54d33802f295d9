#include "token.h"

#include <cstdlib>
#include <cstring>

namespace ptx {
namespace {

bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool startsName(char c) { return isLetter(c) || c == '_' || c == '$' || c == '%'; }
bool continuesName(char c) { return isLetter(c) || isDigit(c) || c == '_' || c == '$'; }

int digit(char c) {
  if (isDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

class Splitter {
 public:
  explicit Splitter(std::string_view text) : text_(text) {}

  std::vector<Word> words;
  std::string error;
  uint32_t line = 1;

  void run() {
    while (error.empty()) {
      const bool space = skipSpace();
      if (!error.empty()) return;
      Word word;
      word.line = line;
      word.spaceBefore = space;
      word.begin = at_;
      if (at_ >= text_.size()) {
        word.end = at_;
        words.push_back(word);
        return;
      }
      const char c = text_[at_];
      if (isDigit(c)) {
        number(word);
      } else if (startsName(c)) {
        at_++;
        while (at_ < text_.size() && continuesName(text_[at_])) at_++;
        word.token = Token::Name;
        word.text = text_.substr(word.begin, at_ - word.begin);
      } else if (c == '.' && at_ + 1 < text_.size() &&
                 (startsName(text_[at_ + 1]) || (isDigit(text_[at_ + 1]) && at_ > 0 && continuesName(text_[at_ - 1])))) {  // tex.2d
        at_ += 2;
        while (at_ < text_.size() && continuesName(text_[at_])) at_++;
        // "::" joins the parts of some modifiers: .shared::cta
        while (at_ + 2 < text_.size() && text_[at_] == ':' && text_[at_ + 1] == ':' && continuesName(text_[at_ + 2])) {
          at_ += 2;
          while (at_ < text_.size() && continuesName(text_[at_])) at_++;
        }
        word.token = Token::Dot;
        word.text = text_.substr(word.begin + 1, at_ - word.begin - 1);
      } else if (c == '"') {
        string(word);
      } else if (std::strchr(",;:[](){}<>@!|=+-*/%&^~?.", c) != nullptr && c != 0) {
        at_++;
        word.token = Token::Mark;
        word.mark = c;
        word.text = text_.substr(word.begin, 1);
      } else {
        error = c >= 32 && c < 127 ? std::string("unexpected character '") + c + "'" : "unexpected character";
        return;
      }
      word.end = at_;
      words.push_back(word);
    }
  }

 private:
  bool skipSpace() {
    const size_t begin = at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        line++;
        at_++;
      } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
        at_++;
      } else if (c == '/' && at_ + 1 < text_.size() && text_[at_ + 1] == '/') {
        while (at_ < text_.size() && text_[at_] != '\n') at_++;
      } else if (c == '/' && at_ + 1 < text_.size() && text_[at_ + 1] == '*') {
        at_ += 2;
        while (at_ + 1 < text_.size() && !(text_[at_] == '*' && text_[at_ + 1] == '/')) {
          if (text_[at_] == '\n') line++;
          at_++;
        }
        if (at_ + 1 >= text_.size()) {
          error = "comment without an end";
          return true;
        }
        at_ += 2;
      } else if (c == 0) {  // a text handed over with its terminating zero
        at_ = text_.size();
      } else {
        break;
      }
    }
    return at_ > begin;
  }

  void number(Word &word) {
    const char c = text_[at_];
    const char kind = at_ + 1 < text_.size() ? text_[at_ + 1] : 0;
    if (c == '0' && (kind == 'f' || kind == 'F' || kind == 'd' || kind == 'D')) {
      const bool single = kind == 'f' || kind == 'F';
      at_ += 2;
      const int digits = single ? 8 : 16;
      uint64_t value = 0;
      for (int i = 0; i < digits; i++) {
        const int d = at_ < text_.size() ? digit(text_[at_]) : 99;
        if (d > 15) {
          error = single ? "0f needs eight hexadecimal digits" : "0d needs sixteen hexadecimal digits";
          return;
        }
        value = value << 4 | static_cast<uint64_t>(d);
        at_++;
      }
      word.token = single ? Token::Float32 : Token::Float64;
      word.value = value;
    } else {
      unsigned base = 10;
      if (c == '0' && (kind == 'x' || kind == 'X')) {
        base = 16;
        at_ += 2;
      } else if (c == '0' && (kind == 'b' || kind == 'B')) {
        base = 2;
        at_ += 2;
      } else if (c == '0' && isDigit(kind)) {
        base = 8;
        at_++;
      }
      const size_t begin = at_;
      uint64_t value = 0;
      bool tooLarge = false;
      while (at_ < text_.size() && static_cast<unsigned>(digit(text_[at_])) < (base == 8 ? 10 : base)) {
        const uint64_t d = static_cast<uint64_t>(digit(text_[at_]));
        tooLarge |= value > (UINT64_MAX - d) / base;
        value = value * base + d;
        at_++;
      }
      const bool fraction = (base == 10 || base == 8) && at_ < text_.size() &&
                            ((text_[at_] == '.' && at_ + 1 < text_.size() && isDigit(text_[at_ + 1])) ||
                             text_[at_] == 'e' || text_[at_] == 'E');
      if (fraction) {
        if (text_[at_] == '.') {
          at_++;
          while (at_ < text_.size() && isDigit(text_[at_])) at_++;
        }
        if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
          at_++;
          if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) at_++;
          while (at_ < text_.size() && isDigit(text_[at_])) at_++;
        }
        const double x = std::strtod(std::string(text_.substr(word.begin, at_ - word.begin)).c_str(), nullptr);
        word.token = Token::Float64;
        std::memcpy(&word.value, &x, 8);
      } else {
        if (begin == at_ && base != 8) {
          error = "number without digits";
          return;
        }
        if (tooLarge) {
          error = "number of more than 64 bits";
          return;
        }
        word.token = Token::Integer;
        word.value = value;
        word.isUnsigned = value > INT64_MAX;
        if (at_ < text_.size() && (text_[at_] == 'U' || text_[at_] == 'u')) {
          word.isUnsigned = true;
          at_++;
        }
      }
    }
    if (at_ < text_.size() && continuesName(text_[at_])) error = "number followed by a letter";
    word.text = text_.substr(word.begin, at_ - word.begin);
  }

  void string(Word &word) {
    at_++;
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\n') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) at_++;
      at_++;
    }
    if (at_ >= text_.size() || text_[at_] != '"') {
      error = "string without an end";
      return;
    }
    word.token = Token::String;
    word.text = text_.substr(begin, at_ - begin);
    at_++;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::vector<Word> split(std::string_view text, std::string &error, uint32_t &line) {
  Splitter splitter(text);
  splitter.run();
  error = splitter.error;
  line = splitter.line;
  return std::move(splitter.words);
}

}  // namespace ptx
