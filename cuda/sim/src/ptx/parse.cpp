// Directives, declarations and statements: from words to a Program.
#include <algorithm>
#include <atomic>
#include <new>

#include "decode.h"

namespace ptx {
namespace {

class Parser {
 public:
  Parser(Program &program, std::vector<Word> words) : program_(program), words_(std::move(words)) {}

  void run() {
    while (!atEnd()) directive();
    finish();
  }

 private:
  // ---------------------------------------------------------------------------------------------------------- words
  const Word &word(size_t ahead = 0) const { return words_[std::min(at_ + ahead, words_.size() - 1)]; }
  bool atEnd() const { return word().token == Token::End; }
  bool isMark(char mark, size_t ahead = 0) const { return word(ahead).token == Token::Mark && word(ahead).mark == mark; }
  bool isDot(std::string_view name, size_t ahead = 0) const {
    return word(ahead).token == Token::Dot && word(ahead).text == name;
  }
  void next() {
    if (at_ + 1 < words_.size()) at_++;
  }
  bool takeMark(char mark) {
    if (!isMark(mark)) return false;
    next();
    return true;
  }
  bool takeDot(std::string_view name) {
    if (!isDot(name)) return false;
    next();
    return true;
  }
  [[noreturn]] void fail(const std::string &message) const { throw ParseError{word().line, message}; }
  std::string shown() const {
    const Word &w = word();
    if (w.token == Token::End) return "the end of the text";
    return "'" + program_.text.substr(w.begin, std::min<size_t>(w.end - w.begin, 60)) + "'";
  }
  void wantMark(char mark) {
    if (!takeMark(mark)) fail(std::string("'") + mark + "' is wanted, not " + shown());
  }
  std::string_view wantName() {
    if (word().token != Token::Name) fail("a name is wanted, not " + shown());
    const std::string_view name = word().text;
    next();
    return name;
  }
  uint64_t wantInteger() {
    if (word().token != Token::Integer) fail("a number is wanted, not " + shown());
    const uint64_t value = word().value;
    next();
    return value;
  }
  uint32_t wantSmall(uint64_t most) {
    const uint32_t line = word().line;
    const uint64_t value = wantInteger();
    if (value > most) throw ParseError{line, std::to_string(value) + " is more than " + std::to_string(most)};
    return static_cast<uint32_t>(value);
  }

  // ----------------------------------------------------------------------------------------------------- expressions
  struct Value {
    uint64_t bits = 0;
    bool isUnsigned = false;
  };
  Value expression(int least = 0, int depth = 0) {
    if (depth > 64) fail("expression too deep");
    Value left = unary(depth);
    for (;;) {
      int precedence = 0;
      std::string op = binaryOperator(precedence);
      if (op.empty() || precedence < least) return left;
      for (size_t k = 0; k < op.size(); k++) next();
      const Value right = expression(precedence + 1, depth + 1);
      left = apply(op, left, right);
    }
  }
  std::string binaryOperator(int &precedence) const {
    if (word().token != Token::Mark) return "";
    const char c = word().mark, d = isMark('<', 1) || isMark('>', 1) || isMark('=', 1) || isMark('&', 1) || isMark('|', 1) ? word(1).mark : 0;
    const bool joined = d != 0 && !word(1).spaceBefore;
    switch (c) {
      case '*': case '/': case '%': precedence = 6; return std::string(1, c);
      case '+': case '-': precedence = 5; return std::string(1, c);
      case '<': if (joined && d == '<') { precedence = 4; return "<<"; } return "";
      case '>': if (joined && d == '>') { precedence = 4; return ">>"; } return "";
      case '&': precedence = 3; return joined && d == '&' ? "" : "&";
      case '^': precedence = 2; return "^";
      default: return "";
    }
  }
  Value apply(const std::string &op, Value a, Value b) const {
    Value r;
    r.isUnsigned = a.isUnsigned || b.isUnsigned;
    switch (op[0]) {
      case '*': r.bits = a.bits * b.bits; break;
      case '+': r.bits = a.bits + b.bits; break;
      case '-': r.bits = a.bits - b.bits; break;
      case '/':
      case '%': {
        if (b.bits == 0) fail("division by zero");
        if (r.isUnsigned) {
          r.bits = op[0] == '/' ? a.bits / b.bits : a.bits % b.bits;
        } else if (b.bits == UINT64_MAX) {
          r.bits = op[0] == '/' ? 0 - a.bits : 0;
        } else {
          const int64_t u = static_cast<int64_t>(a.bits), v = static_cast<int64_t>(b.bits);
          r.bits = static_cast<uint64_t>(op[0] == '/' ? u / v : u % v);
        }
        break;
      }
      case '<': r.bits = b.bits > 63 ? 0 : a.bits << b.bits; break;
      case '>':
        r.bits = a.isUnsigned ? (b.bits > 63 ? 0 : a.bits >> b.bits)
                              : static_cast<uint64_t>(static_cast<int64_t>(a.bits) >> std::min<uint64_t>(b.bits, 63));
        break;
      case '&': r.bits = a.bits & b.bits; break;
      default: r.bits = a.bits ^ b.bits; break;
    }
    return r;
  }
  Value unary(int depth) {
    if (depth > 64) fail("expression too deep");
    if (takeMark('-')) {
      Value v = unary(depth + 1);
      v.bits = 0 - v.bits;
      return v;
    }
    if (takeMark('+')) return unary(depth + 1);
    if (takeMark('~')) {
      Value v = unary(depth + 1);
      v.bits = ~v.bits;
      return v;
    }
    if (isMark('(')) {
      next();
      const Value v = expression(0, depth + 1);
      wantMark(')');
      return v;
    }
    if (word().token != Token::Integer) fail("a number is wanted, not " + shown());
    Value v;
    v.bits = word().value;
    v.isUnsigned = word().isUnsigned;
    next();
    return v;
  }

  // ------------------------------------------------------------------------------------------------------ directives
  void directive() {
    if (word().token == Token::Name && isMark(':', 1)) fail("a label outside a function");
    if (word().token != Token::Dot) {
      if (takeMark(';')) return;
      fail("a directive is wanted, not " + shown());
    }
    if (takeDot("version")) {
      // 7.8 was read as one number.
      const Word &w = word();
      if (w.token != Token::Float64) fail("a version such as 7.8 is wanted");
      const size_t point = w.text.find('.');
      if (point == std::string_view::npos || point > 3 || w.text.size() - point != 2) fail("a version such as 7.8 is wanted");
      program_.version = static_cast<uint32_t>(std::stoul(std::string(w.text.substr(0, point))) * 10 +
                                               static_cast<unsigned long>(w.text[point + 1] - '0'));
      next();
      if (program_.version < 60 || program_.version >= 100) fail("PTX version not supported");
      return;
    }
    if (takeDot("target")) {
      do {
        const uint32_t line = word().line;
        const std::string_view target = wantName();
        if (target.substr(0, 3) != "sm_") continue;
        uint32_t number = 0;
        size_t k = 3;
        for (; k < target.size() && k < 7 && target[k] >= '0' && target[k] <= '9'; k++) number = number * 10 + static_cast<uint32_t>(target[k] - '0');
        if (number < 70) throw ParseError{line, "targets before sm_70 are not supported"};
        program_.target = number;
      } while (takeMark(','));
      return;
    }
    if (takeDot("address_size")) {
      const uint32_t line = word().line;
      if (wantInteger() != 64) throw ParseError{line, "only 64-bit addresses are supported"};
      return;
    }
    if (takeDot("file")) {
      const uint32_t index = wantSmall(UINT32_MAX);
      if (word().token != Token::String) fail("a file's name is wanted");
      program_.files[index] = std::string(word().text);
      next();
      while (takeMark(',')) wantInteger();
      return;
    }
    if (isDot("loc")) {
      location();
      return;
    }
    if (takeDot("section")) {
      if (word().token == Token::Dot || word().token == Token::Name) next();
      skipBraces();
      return;
    }
    if (takeDot("pragma")) {
      while (!atEnd() && !isMark(';')) next();
      wantMark(';');
      return;
    }
    if (takeDot("alias")) fail(".alias is not supported");
    bool visible = false, external = false;
    for (;;) {
      if (takeDot("visible")) {
        visible = true;
      } else if (takeDot("extern")) {
        external = true;
      } else if (takeDot("weak") || takeDot("common")) {
        visible = true;
      } else {
        break;
      }
    }
    if (takeDot("entry")) {
      function(true);
    } else if (takeDot("func")) {
      function(false);
    } else if (isDot("global") || isDot("const") || isDot("shared")) {
      moduleVariable(visible, external);
    } else {
      fail("unknown directive " + shown());
    }
  }

  void skipBraces() {
    wantMark('{');
    int depth = 1;
    while (depth > 0) {
      if (atEnd()) fail("'}' is wanted");
      if (isMark('{')) depth++;
      if (isMark('}')) depth--;
      next();
    }
  }

  void location() {
    next();
    SourceLine source;
    source.file = wantSmall(UINT32_MAX);
    source.line = wantSmall(UINT32_MAX);
    wantInteger();
    if (isMark(',')) {  // , function_name label {+ offset}, inlined_at file line column
      next();
      if (wantName() != "function_name") fail("function_name is wanted");
      wantName();
      if (takeMark('+')) wantInteger();
      wantMark(',');
      if (wantName() != "inlined_at") fail("inlined_at is wanted");
      source.file = wantSmall(UINT32_MAX);
      source.line = wantSmall(UINT32_MAX);
      wantInteger();
    }
    source_ = source;
  }

  // A variable's alignment, vector and type, up to its name.
  struct Declared {
    Type type = Type::None;
    unsigned elements = 1;       // of .v2, .v4
    uint32_t alignment = 0;
    uint64_t size = 0;           // bytes of all
    std::string_view name;
    uint32_t line = 0;
    bool unsized = false;        // name[]
    bool array = false;
    uint32_t count = 0;          // of name<count>; 0: a single one
  };
  Declared declaredType() {
    Declared d;
    for (;;) {
      if (takeDot("align")) {
        d.alignment = wantSmall(1 << 16);
        if (d.alignment == 0 || (d.alignment & (d.alignment - 1))) fail("an alignment has to be a power of two");
      } else if (takeDot("v2")) {
        d.elements = 2;
      } else if (takeDot("v4")) {
        d.elements = 4;
      } else if (takeDot("ptr")) {
        if (word().token == Token::Dot && !isDot("align") && typeNamed(word().text) == Type::None) next();
      } else if (takeDot("attribute")) {
        wantMark('(');
        while (!atEnd() && !isMark(')')) next();
        wantMark(')');
      } else {
        break;
      }
    }
    if (word().token != Token::Dot) fail("a type is wanted, not " + shown());
    d.type = typeNamed(word().text);
    if (d.type == Type::None) fail("unknown type " + shown());
    next();
    // .param .u64 .ptr .global .align 4 name
    if (takeDot("ptr")) {
      while (isDot("global") || isDot("const") || isDot("local") || isDot("shared") || isDot("align")) {
        const bool align = isDot("align");
        next();
        if (align) wantInteger();  // of what it points to
      }
    }
    return d;
  }
  void declaredName(Declared &d) {
    d.line = word().line;
    d.name = wantName();
    if (takeMark('<')) {
      d.count = wantSmall(1 << 20);
      wantMark('>');
      return;
    }
    uint64_t count = 1;
    const unsigned bytes = std::max(1u, bytesOf(d.type)) * d.elements;
    bool first = true;
    while (isMark('[')) {
      next();
      d.array = true;
      if (isMark(']') && first) {
        d.unsized = true;
      } else {
        const uint64_t n = expression().bits;
        if (n > (1ull << 40) || (n != 0 && count > (1ull << 40) / n)) fail("too large");
        count *= n;
      }
      wantMark(']');
      first = false;
    }
    d.size = d.unsized ? 0 : count * bytes;
    if (d.alignment == 0) d.alignment = bytes;
  }

  void moduleVariable(bool visible, bool external) {
    const Space space = isDot("global") ? Space::Global : isDot("const") ? Space::Const : Space::Shared;
    next();
    if (word().token == Token::Mark && isMark('[')) fail("banks of constants are not supported");
    const Declared base = declaredType();
    do {
      Declared d = base;
      declaredName(d);
      if (d.count) fail("a variable can't be many");
      if (d.type == Type::Pred) fail("a predicate can't be a variable");
      if (space == Space::Shared) {
        declareShared(d, external, nullptr);
        continue;
      }
      if (external) throw ParseError{d.line, "external variable " + std::string(d.name) + " is defined nowhere"};
      initialised(d, space, visible);
    } while (takeMark(','));
    wantMark(';');
  }

  void declareShared(const Declared &d, bool external, Builder *builder) {
    SharedVariable variable;
    variable.name = std::string(d.name);
    variable.line = d.line;
    variable.size = d.size;
    variable.alignment = d.alignment;
    variable.dynamic = external;
    if (d.unsized && !external) throw ParseError{d.line, std::string(d.name) + " has no size"};
    if (d.size > (1u << 24)) throw ParseError{d.line, std::string(d.name) + " is too large"};
    Variable named;
    named.kind = Variable::Shared;
    named.index = static_cast<uint32_t>(program_.shared.size());
    named.size = static_cast<uint32_t>(d.size);
    program_.shared.push_back(std::move(variable));
    if (builder != nullptr) {
      builder->declareVariable(d.line, d.name, named);
    } else if (!names_.try_emplace(d.name, named).second) {
      throw ParseError{d.line, std::string(d.name) + " is declared twice"};
    }
  }

  void initialised(Declared d, Space space, bool visible) {
    Initial initial;
    const unsigned bytes = bytesOf(d.type);
    if (isMark('=')) {
      next();
      if (isMark('{')) {
        braces(initial, d.type, bytes, 0);
      } else if (word().token == Token::String) {
        fail("strings are not supported as initialisers");
      } else {
        element(initial, d.type, bytes);
      }
      if (d.unsized) d.size = initial.bytes.size();
      if (initial.bytes.size() > d.size) throw ParseError{d.line, std::string(d.name) + " has too many initialisers"};
    } else if (d.unsized) {
      throw ParseError{d.line, std::string(d.name) + " has no size"};
    }
    if (d.size > (1ull << 28)) throw ParseError{d.line, std::string(d.name) + " is too large"};
    Symbol symbol;
    symbol.name = std::string(d.name);
    symbol.line = d.line;
    symbol.space = space;
    symbol.size = d.size;
    symbol.alignment = d.alignment;
    symbol.visible = visible;
    Variable named;
    named.kind = Variable::Global;
    named.index = static_cast<uint32_t>(program_.symbols.size());
    if (!names_.try_emplace(d.name, named).second) throw ParseError{d.line, std::string(d.name) + " is declared twice"};
    program_.symbols.push_back(std::move(symbol));
    program_.initials.push_back(std::move(initial));
  }

  void braces(Initial &initial, Type type, unsigned bytes, int depth) {
    if (depth > 16) fail("initialiser too deep");
    wantMark('{');
    while (!isMark('}')) {
      if (isMark('{')) {
        braces(initial, type, bytes, depth + 1);
      } else {
        element(initial, type, bytes);
      }
      if (!takeMark(',')) break;
    }
    wantMark('}');
  }

  void element(Initial &initial, Type type, unsigned bytes) {
    if (initial.bytes.size() > (1u << 28)) fail("too large");
    auto append = [&](uint64_t value, unsigned n) {
      for (unsigned k = 0; k < n; k++) initial.bytes.push_back(static_cast<uint8_t>(value >> (8 * k)));
    };
    bool negative = false;
    if (isMark('-') && (word(1).token == Token::Float32 || word(1).token == Token::Float64)) {
      negative = true;
      next();
    }
    const Word &w = word();
    if (w.token == Token::Float32 || w.token == Token::Float64) {
      const double value = (negative ? -1.0 : 1.0) * (w.token == Token::Float32 ? static_cast<double>(bits<float>(static_cast<uint32_t>(w.value))) : bits<double>(w.value));
      if (type == Type::F64) {
        append(bits<uint64_t>(value), 8);
      } else if (type == Type::F32) {
        append(w.token == Token::Float32 && !negative ? w.value : bits<uint32_t>(static_cast<float>(value)), 4);
      } else if (type == Type::F16) {
        append(roundTo(kHalf, value, Rounding::Nearest), 2);
      } else if (type == Type::BF16) {
        append(roundTo(kBrain, value, Rounding::Nearest), 2);
      } else {
        append(w.value, w.token == Token::Float32 ? 4 : 8);
      }
      next();
      return;
    }
    if (w.token == Token::Name) {  // an address: name, name+4, generic(name)+4
      std::string_view name = wantName();
      bool parenthesis = false;
      if (name == "generic" && isMark('(')) {
        next();
        name = wantName();
        parenthesis = true;
      }
      uint64_t addend = 0;
      if (parenthesis && (isMark('+') || isMark('-'))) addend = expression(5).bits;
      if (parenthesis) wantMark(')');
      if (isMark('+') || isMark('-')) addend += expression(5).bits;
      auto found = names_.find(name);
      if (found == names_.end() || found->second.kind != Variable::Global) fail("no variable " + std::string(name));
      if (bytes != 8) fail("an address needs 64 bits");
      initial.relocations.push_back({found->second.index, static_cast<uint32_t>(initial.bytes.size()), 8, addend});
      append(0, 8);
      return;
    }
    append(expression().bits, bytes);
  }

  // ------------------------------------------------------------------------------------------------------- functions
  struct Formal {
    Declared declared;
    bool isRegister = false;
  };
  std::vector<Formal> formals() {
    std::vector<Formal> all;
    wantMark('(');
    while (!isMark(')')) {
      Formal formal;
      if (takeDot("reg")) {
        formal.isRegister = true;
      } else if (!takeDot("param")) {
        fail(".param is wanted, not " + shown());
      }
      formal.declared = declaredType();
      declaredName(formal.declared);
      if (formal.declared.count) fail("a parameter can't be many");
      if (formal.declared.unsized) fail("a parameter needs a size");
      if (!formal.isRegister && (formal.declared.type == Type::Pred || formal.declared.size > (1u << 16))) fail("not for a parameter");
      all.push_back(formal);
      if (!takeMark(',')) break;
    }
    wantMark(')');
    return all;
  }

  void function(bool kernel) {
    std::vector<Formal> results, parameters;
    if (!kernel && isMark('(')) results = formals();
    const uint32_t line = word().line;
    const std::string_view name = wantName();
    if (isMark('(')) parameters = formals();

    Kernel information;
    bool noReturn = false;
    for (;;) {
      if (takeDot("maxntid")) {
        information.maxntid = dimensions();
      } else if (takeDot("reqntid")) {
        information.reqntid = dimensions();
      } else if (takeDot("minnctapersm")) {
        information.minnctapersm = wantSmall(UINT32_MAX);
      } else if (takeDot("maxnctapersm")) {
        wantInteger();
      } else if (takeDot("maxnreg")) {
        information.maxnreg = wantSmall(UINT32_MAX);
      } else if (takeDot("noreturn")) {
        noReturn = true;
      } else if (takeDot("pragma")) {
        while (!atEnd() && !isMark(';')) next();
        wantMark(';');
      } else {
        break;
      }
    }
    (void)noReturn;

    uint32_t index;
    auto found = functions_.find(name);
    if (found == functions_.end()) {
      index = static_cast<uint32_t>(program_.functions.size());
      functions_.emplace(name, index);
      program_.functions.emplace_back();
      Function &fresh = program_.functions.back();
      fresh.name = std::string(name);
      fresh.index = index;
      fresh.kernel = kernel;
      fresh.line = line;
      describeFormals(fresh, results, parameters);
    } else {
      index = found->second;
      Function known;
      describeFormals(known, results, parameters);
      const Function &before = program_.functions[index];
      auto same = [](const std::vector<FormalParameter> &a, const std::vector<FormalParameter> &b) {
        bool equal = a.size() == b.size();
        for (size_t k = 0; equal && k < a.size(); k++) equal = a[k].size == b[k].size && a[k].inRegister == b[k].inRegister;
        return equal;
      };
      if (before.kernel != kernel || !same(before.parameters, known.parameters) || !same(before.results, known.results))
        throw ParseError{line, std::string(name) + " was declared differently"};
    }
    if (takeMark(';')) {
      if (name == "vprintf") program_.functions[index].builtIn = BuiltIn::Printf;
      if (name == "__assertfail") program_.functions[index].builtIn = BuiltIn::AssertFail;
      return;
    }
    if (program_.functions[index].defined) throw ParseError{line, std::string(name) + " is defined twice"};
    Function function = program_.functions[index];
    function.defined = true;
    function.builtIn = BuiltIn::None;
    function.line = line;
    function.registerBytes = 0;
    function.frameBytes = 0;
    function.frame.clear();
    function.slots.clear();
    function.constants.clear();
    function.begin = static_cast<uint32_t>(program_.code.size());
    function.calls.clear();
    body(function, information, results, parameters);
    if (kernel) {
      function.kernelIndex = static_cast<uint32_t>(program_.kernels.size());
      information.name = function.name;
      information.line = line;
      program_.kernels.push_back(std::move(information));
      program_.kernelFunctions.push_back(index);
    }
    program_.functions[index] = std::move(function);
  }

  // Formal parameters in order; offsets as the body will find them.
  void describeFormals(Function &function, const std::vector<Formal> &results, const std::vector<Formal> &parameters) {
    if (function.kernel) return;
    Builder builder(program_, function);
    declareFormals(builder, results, parameters);
    function.registerBytes = 0;
  }
  void declareFormals(Builder &builder, const std::vector<Formal> &results, const std::vector<Formal> &parameters) {
    Function &function = builder.function();
    function.parameters.clear();
    function.results.clear();
    for (int pass = 0; pass < 2; pass++) {
      for (const Formal &formal : pass == 0 ? results : parameters) {
        const Declared &d = formal.declared;
        FormalParameter parameter;
        parameter.inRegister = formal.isRegister;
        if (formal.isRegister) {
          if (d.array || d.elements != 1) throw ParseError{d.line, "a register can't be an array"};
          builder.declareRegister(d.line, d.name, d.type);
          parameter.offset = builder.find(d.name)->offset;
          parameter.size = bytesOf(d.type) == 1 ? 2 : bytesOf(d.type);
        } else {
          Variable variable;
          variable.kind = Variable::FrameLocal;
          variable.size = static_cast<uint32_t>(d.size);
          variable.offset = builder.frameVariable(d.name, variable.size, d.alignment);
          builder.declareVariable(d.line, d.name, variable);
          parameter.offset = variable.offset;
          parameter.size = variable.size;
        }
        (pass == 0 ? function.results : function.parameters).push_back(parameter);
      }
    }
  }

  Dim3 dimensions() {
    Dim3 d;
    d.x = wantSmall(UINT32_MAX);
    if (takeMark(',')) d.y = wantSmall(UINT32_MAX);
    if (takeMark(',')) d.z = wantSmall(UINT32_MAX);
    return d;
  }

  void body(Function &function, Kernel &information, const std::vector<Formal> &results, const std::vector<Formal> &parameters) {
    Builder builder(program_, function);
    source_ = SourceLine();
    if (function.kernel) {
      uint32_t offset = 0;
      for (const Formal &formal : parameters) {
        const Declared &d = formal.declared;
        if (formal.isRegister) throw ParseError{d.line, "a kernel's parameter can't be a register"};
        Parameter parameter;
        parameter.name = std::string(d.name);
        parameter.alignment = d.alignment;
        parameter.size = static_cast<uint32_t>(d.size);
        parameter.offset = (offset + d.alignment - 1) / d.alignment * d.alignment;
        offset = parameter.offset + parameter.size;
        if (offset > 32764) throw ParseError{d.line, "too many parameters"};
        Variable variable;
        variable.kind = Variable::KernelParam;
        variable.offset = parameter.offset;
        variable.size = parameter.size;
        builder.declareVariable(d.line, d.name, variable);
        information.params.push_back(std::move(parameter));
      }
      information.paramBytes = offset;
    } else {
      declareFormals(builder, results, parameters);
    }
    const uint32_t line = word().line;
    wantMark('{');
    int depth = 1;
    while (depth > 0) {
      if (atEnd()) throw ParseError{line, function.name + " has no end"};
      if (takeMark('{')) {
        if (++depth > 200) fail("blocks too deep");
        builder.enter();
      } else if (takeMark('}')) {
        if (--depth > 0) builder.leave();
      } else {
        statement(builder);
      }
    }
    // Whoever reaches the end returns.
    emptyStatement_.opcode = "ret";
    emptyStatement_.line = words_[at_ == 0 ? 0 : at_ - 1].line;
    decode(builder, emptyStatement_);
    function.end = static_cast<uint32_t>(program_.code.size());
    builder.finish();
    analyseRegisters(program_, function, builder.reads, builder.writes);
  }

  void statement(Builder &builder) {
    if (takeMark(';')) return;
    if (isDot("loc")) {
      location();
      return;
    }
    if (isDot("pragma")) {
      while (!atEnd() && !isMark(';')) next();
      wantMark(';');
      return;
    }
    if (takeDot("file")) fail(".file inside a function");
    if (word().token == Token::Name && isMark(':', 1)) {
      const std::string_view name = word().text;
      const uint32_t line = word().line;
      next();
      next();
      if (takeDot("branchtargets")) {
        std::vector<std::string_view> labels;
        do labels.push_back(wantName());
        while (takeMark(','));
        wantMark(';');
        builder.declareTable(line, name, std::move(labels));
        return;
      }
      if (isDot("callprototype") || isDot("calltargets")) fail("indirect calls are not supported");
      builder.declareLabel(line, name);
      return;
    }
    if (word().token == Token::Dot) {
      declaration(builder);
      return;
    }
    instruction(builder);
  }

  void declaration(Builder &builder) {
    if (takeDot("reg")) {
      const Declared base = declaredType();
      if (base.elements != 1) fail("vector registers are not supported");
      do {
        Declared d = base;
        declaredName(d);
        if (d.array) fail("a register can't be an array");
        if (d.count) {
          builder.declareRegisters(d.line, d.name, d.count, d.type);
        } else {
          builder.declareRegister(d.line, d.name, d.type);
        }
      } while (takeMark(','));
      wantMark(';');
      return;
    }
    bool external = false;
    while (isDot("extern") || isDot("visible") || isDot("weak")) {
      external |= isDot("extern");
      next();
    }
    if (takeDot("shared")) {
      const Declared base = declaredType();
      do {
        Declared d = base;
        declaredName(d);
        if (d.count) fail("a variable can't be many");
        if (d.type == Type::Pred) fail("a predicate can't be a variable");
        declareShared(d, external, &builder);
      } while (takeMark(','));
      wantMark(';');
      return;
    }
    if (isDot("local") || isDot("param")) {
      next();
      const Declared base = declaredType();
      do {
        Declared d = base;
        declaredName(d);
        if (d.count || d.unsized || d.type == Type::Pred) fail("not for a variable in local memory");
        if (d.size > (1u << 24)) fail("too large");
        Variable variable;
        variable.kind = Variable::FrameLocal;
        variable.size = static_cast<uint32_t>(d.size);
        variable.offset = builder.frameVariable(d.name, variable.size, d.alignment);
        builder.declareVariable(d.line, d.name, variable);
      } while (takeMark(','));
      wantMark(';');
      return;
    }
    fail("unknown directive " + shown());
  }

  // ----------------------------------------------------------------------------------------------------- instructions
  void instruction(Builder &builder) {
    Statement s;
    s.line = word().line;
    s.begin = word().begin;
    if (takeMark('@')) {
      s.guarded = true;
      s.guardNegated = takeMark('!');
      s.guard = wantName();
    }
    if (word().token != Token::Name) fail("an instruction is wanted, not " + shown());
    s.opcode = wantName();
    while (word().token == Token::Dot && !word().spaceBefore) {
      s.modifiers.push_back(word().text);
      next();
    }
    if (!isMark(';')) {
      do s.operands.push_back(operand(0));
      while (takeMark(','));
    }
    s.end = word().begin;
    if (!isMark(';')) {
      // Name the instruction, since its operands were where the text went wrong.
      throw ParseError{s.line, "';' is wanted after " + std::string(s.opcode) + ", not " + shown()};
    }
    next();
    decode(builder, s);
  }

  Operand operand(int depth) {
    if (depth > 8) fail("operand too deep");
    Operand o;
    o.line = word().line;
    if (takeMark('!')) {
      o.negated = true;
      o.name = wantName();
      return o;
    }
    if (isMark('{')) {
      next();
      o.kind = Operand::Vector;
      do o.parts.push_back(operand(depth + 1));
      while (takeMark(','));
      wantMark('}');
      if (o.parts.size() > 8) fail("vector too long");
      return o;
    }
    if (isMark('[')) {
      next();
      o.kind = Operand::Address;
      if (word().token == Token::Name) {
        Operand base;
        base.name = wantName();
        o.parts.push_back(base);
        if (isMark('+') || isMark('-')) o.value = expression(5).bits;
        // [a+-4] reads as a plus a negative number.
      } else {
        o.value = expression().bits;
      }
      wantMark(']');
      return o;
    }
    if (isMark('(') && (word(1).token == Token::Name || isMark(')', 1))) {
      next();
      o.kind = Operand::List;
      while (!isMark(')')) {
        o.parts.push_back(operand(depth + 1));
        if (!takeMark(',')) break;
      }
      wantMark(')');
      return o;
    }
    if (word().token == Token::Name) {
      const Word &w = word();
      if (w.text == "_") {
        o.kind = Operand::Sink;
        next();
        return pairedWith(o, depth);
      }
      o.name = w.text;
      next();
      if (o.name[0] == '%' && word().token == Token::Dot && !word().spaceBefore) {  // %tid.x
        o.name = std::string_view(o.name.data(), o.name.size() + 1 + word().text.size());
        next();
      }
      if (isMark('+') || isMark('-')) o.value = expression(5).bits;
      if (isMark('[')) {
        next();
        o.value += expression().bits;
        wantMark(']');
      }
      return pairedWith(o, depth);
    }
    bool negative = false;
    if (isMark('-') && (word(1).token == Token::Float32 || word(1).token == Token::Float64)) {
      negative = true;
      next();
    }
    if (word().token == Token::Float32 || word().token == Token::Float64) {
      o.kind = Operand::Float;
      o.isSingle = word().token == Token::Float32;
      o.value = word().value;
      if (negative) o.value ^= o.isSingle ? 0x80000000ull : 0x8000000000000000ull;
      next();
      return o;
    }
    o.kind = Operand::Integer;
    const Value v = expression();
    o.value = v.bits;
    o.isUnsigned = v.isUnsigned;
    return o;
  }
  Operand pairedWith(Operand o, int depth) {
    if (!takeMark('|')) return o;
    o.paired = true;
    o.parts.push_back(operand(depth + 1));
    return o;
  }

  void decode(Builder &builder, const Statement &s) {
    const Decode decoder = decoderOf(s.opcode);
    if (decoder == nullptr) throw ParseError{s.line, "unknown instruction"};
    if (program_.code.size() > 4000000) throw ParseError{s.line, "too many instructions"};
    Decoder d(builder, s, functions_, names_);
    d.inst.line = s.line;
    decoder(d);
    d.inst.guard = builder.trueSlot();
    if (s.guarded) {
      Operand guard;
      guard.name = s.guard;
      guard.negated = s.guardNegated;
      d.inst.guard = d.predicate(guard, d.inst.guardFlip);
    }
    program_.code.push_back(d.inst);
    Origin origin;
    origin.line = s.line;
    origin.begin = s.begin;
    origin.end = s.end;
    origin.source = source_;
    program_.origins.push_back(origin);
    builder.reads.push_back(std::move(d.reads));
    builder.writes.push_back(std::move(d.writes));
  }

  // ---------------------------------------------------------------------------------------------- the module as a whole
  void finish() {
    if (program_.version == 0) throw ParseError{1, ".version is missing"};
    if (program_.target == 0) throw ParseError{1, ".target is missing"};
    for (const Function &function : program_.functions)
      for (uint32_t called : function.calls) {
        const Function &callee = program_.functions[called];
        if (!callee.defined && callee.builtIn == BuiltIn::None)
          throw ParseError{callee.line, "function " + callee.name + " is called but defined nowhere"};
      }
    for (Function &function : program_.functions) {
      std::vector<bool> seen(program_.functions.size(), false);
      std::vector<uint32_t> work{function.index};
      bool again = false;
      while (!work.empty()) {
        const uint32_t at = work.back();
        work.pop_back();
        if (seen[at]) continue;
        seen[at] = true;
        function.reachable.push_back(at);
        for (uint32_t called : program_.functions[at].calls) {
          again |= called == function.index;
          work.push_back(called);
        }
      }
      function.recursive = again;
    }
    for (size_t k = 0; k < program_.kernels.size(); k++) {
      Kernel &kernel = program_.kernels[k];
      const Function &function = program_.functions[program_.kernelFunctions[k]];
      std::vector<uint32_t> variables;
      for (uint32_t f : function.reachable) {
        const Function &reached = program_.functions[f];
        kernel.registers = std::max(kernel.registers, reached.peak + 8);
        for (uint32_t v : reached.shared)
          if (std::find(variables.begin(), variables.end(), v) == variables.end()) variables.push_back(v);
      }
      kernel.registers = std::min(kernel.registers, 255u);
      uint64_t shared = 0;
      std::sort(variables.begin(), variables.end());
      for (uint32_t v : variables) {
        const SharedVariable &variable = program_.shared[v];
        if (variable.dynamic) continue;
        shared = (shared + variable.alignment - 1) / variable.alignment * variable.alignment + variable.size;
      }
      kernel.sharedBytes = static_cast<uint32_t>(std::min<uint64_t>(shared, UINT32_MAX));
      std::vector<int64_t> known(program_.functions.size(), -1);
      kernel.localBytes = localBytes(program_.kernelFunctions[k], known);
    }
  }

  // Bytes of the deepest chain of calls; a recursion counts once.
  uint32_t localBytes(uint32_t index, std::vector<int64_t> &known) {
    if (known[index] >= 0) return static_cast<uint32_t>(known[index]);
    const Function &function = program_.functions[index];
    uint32_t own = 0, below = 0;
    for (const FrameVariable &variable : function.frame) own += variable.size;
    known[index] = own;
    if (!function.recursive)
      for (uint32_t called : function.calls) below = std::max(below, localBytes(called, known));
    known[index] = own + below;
    return own + below;
  }

  Program &program_;
  std::vector<Word> words_;
  size_t at_ = 0;
  SourceLine source_;
  Statement emptyStatement_;
  std::unordered_map<std::string_view, uint32_t> functions_;
  std::unordered_map<std::string_view, Variable> names_;
};

std::string squeezed(std::string_view text) {
  std::string out;
  bool space = false;
  for (char c : text) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v') {
      space = !out.empty();
      continue;
    }
    if (space) out += ' ';
    space = false;
    out += c;
    if (out.size() > 160) return out + "...";
  }
  return out;
}

// The line of the text, for errors.
std::string lineOf(const std::string &text, uint32_t line) {
  size_t begin = 0;
  for (uint32_t n = 1; n < line; n++) {
    begin = text.find('\n', begin);
    if (begin == std::string::npos) return "";
    begin++;
  }
  const size_t end = text.find('\n', begin);
  return squeezed(std::string_view(text).substr(begin, end == std::string::npos ? std::string::npos : end - begin));
}

}  // namespace

std::string Program::instruction(uint32_t pc) const {
  if (pc >= origins.size()) return "";
  const Origin &origin = origins[pc];
  if (origin.end <= origin.begin) return "ret";
  return squeezed(std::string_view(text).substr(origin.begin, origin.end - origin.begin));
}

std::string Program::source(uint32_t pc) const {
  if (pc >= origins.size() || origins[pc].source.line == 0) return "";
  auto file = files.find(origins[pc].source.file);
  if (file == files.end()) return "";
  const size_t slash = file->second.find_last_of('/');
  return (slash == std::string::npos ? file->second : file->second.substr(slash + 1)) + ":" +
         std::to_string(origins[pc].source.line);
}

Module::Module() : program_(std::make_unique<Program>()) {}
Module::~Module() = default;

std::unique_ptr<Module> Module::parse(const std::string &text, std::string &error) {
  static std::atomic<uint64_t> identities{0};
  error.clear();
  std::unique_ptr<Module> module(new Module());
  Program &program = *module->program_;
  uint32_t line = 0;
  try {
    program.text = text;
    program.identity = ++identities;
    std::vector<Word> words = split(program.text, error, line);
    if (error.empty()) {
      Parser(program, std::move(words)).run();
      return module;
    }
  } catch (const ParseError &e) {
    error = e.message;
    line = e.line;
  } catch (const std::bad_alloc &) {
    error = "out of memory";
  }
  const std::string where = lineOf(text, line);
  error = "line " + std::to_string(line) + ": " + (where.empty() ? "" : where + ": ") + error;
  return nullptr;
}

const std::vector<Kernel> &Module::kernels() const { return program_->kernels; }
const Kernel *Module::kernel(const std::string &name) const {
  for (const Kernel &kernel : program_->kernels)
    if (kernel.name == name) return &kernel;
  return nullptr;
}
const std::vector<Symbol> &Module::symbols() const { return program_->symbols; }
int Module::symbol(const std::string &name) const {
  for (size_t i = 0; i < program_->symbols.size(); i++)
    if (program_->symbols[i].name == name) return static_cast<int>(i);
  return -1;
}
uint32_t Module::version() const { return program_->version; }
uint32_t Module::target() const { return program_->target; }
uint32_t Module::constBytes() const {
  uint64_t bytes = 0;
  for (const Symbol &symbol : program_->symbols)
    if (symbol.space == Space::Const) bytes += symbol.size;
  return static_cast<uint32_t>(std::min<uint64_t>(bytes, UINT32_MAX));
}
void Module::place(size_t symbol, uint64_t address) {
  if (symbol < program_->initials.size()) program_->initials[symbol].address = address;
}
uint64_t Module::address(size_t symbol) const {
  return symbol < program_->initials.size() ? program_->initials[symbol].address : 0;
}
std::vector<uint8_t> Module::image(size_t symbol) const {
  if (symbol >= program_->initials.size()) return {};
  const Initial &initial = program_->initials[symbol];
  std::vector<uint8_t> bytes = initial.bytes;
  bytes.resize(program_->symbols[symbol].size, 0);
  for (const Relocation &relocation : initial.relocations) {
    const uint64_t value = program_->initials[relocation.symbol].address + relocation.addend;
    for (unsigned k = 0; k < relocation.bytes && relocation.offset + k < bytes.size(); k++)
      bytes[relocation.offset + k] = static_cast<uint8_t>(value >> (8 * k));
  }
  return bytes;
}

}  // namespace ptx
